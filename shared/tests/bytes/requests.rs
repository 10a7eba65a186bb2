//! Signed requests and enrolment.

use crate::fixtures::{NOW, key, public};
use shared::bytes::{Hash32, Nonce16, Nonce32};
use shared::ids::DeviceId;
use shared::ticket::keys::{VerifyingKey, verify_strict};
use shared::time::UnixSecs;
use shared::wire::enroll::{
    InviteError, Link, TypedCode, commitment, digits, normalize_origin, poll_message, reveal_message,
};
use shared::wire::httpsig::{
    ReceivedHeaders, RequestParts, SignatureError, SignatureHeaders, WINDOW_SECS, claimed_device,
    sign_request, signature_base, verify_request,
};

fn device() -> DeviceId {
    DeviceId::from_bytes([0xd0; 16])
}

fn post() -> RequestParts<'static> {
    RequestParts { method: "POST", path: "/gates/log", query: None, body: b"run" }
}

fn get() -> RequestParts<'static> {
    RequestParts { method: "GET", path: "/gates/manifest", query: Some("root=1&nonce=00"), body: b"" }
}

fn received(headers: &SignatureHeaders) -> ReceivedHeaders<'_> {
    ReceivedHeaders {
        content_digest: headers.content_digest.as_deref(),
        signature_input: Some(&headers.signature_input),
        signature: Some(&headers.signature),
    }
}

fn verify(request: &RequestParts<'_>, headers: &ReceivedHeaders<'_>) -> Result<DeviceId, SignatureError> {
    verify_request(&key(50).verifying_key(), request, headers, NOW, WINDOW_SECS)
}

#[test]
fn the_signature_base_is_the_one_of_rfc_9421_appendix_b_2_6() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let params = concat!(
        r#"("date" "@method" "@path" "@authority" "content-type" "content-length")"#,
        r#";created=1618884473;keyid="test-key-ed25519""#
    );
    let components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ];
    let base = signature_base(&components, params);
    let public = STANDARD.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    let key = VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
    let signature = STANDARD
        .decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
        .unwrap();
    assert!(verify_strict(&key, base.as_bytes(), &signature));
}

#[test]
fn signed_requests_verify_with_and_without_body_and_query() {
    let empty_query = RequestParts { query: Some(""), ..get() };
    let no_query = RequestParts { query: None, ..get() };
    for request in [post(), get(), empty_query, no_query] {
        let headers = sign_request(&key(50), device(), &request, NOW);
        assert_eq!(headers.content_digest.is_some(), !request.body.is_empty());
        assert_eq!(claimed_device(&received(&headers)), Ok(device()));
        assert_eq!(verify(&request, &received(&headers)), Ok(device()));
    }
}

#[test]
fn every_covered_part_is_bound() {
    let headers = sign_request(&key(50), device(), &post(), NOW);
    let headers = received(&headers);
    let altered = [
        (RequestParts { method: "PUT", ..post() }, SignatureError::BadSignature),
        (RequestParts { path: "/gates/wait", ..post() }, SignatureError::BadSignature),
        (RequestParts { query: Some("a=1"), ..post() }, SignatureError::BadSignature),
        (RequestParts { body: b"other", ..post() }, SignatureError::Digest),
        (RequestParts { body: b"", ..post() }, SignatureError::Coverage),
    ];
    for (request, error) in altered {
        assert_eq!(verify(&request, &headers), Err(error));
    }
    let other = sign_request(&key(51), device(), &post(), NOW);
    assert_eq!(verify(&post(), &received(&other)), Err(SignatureError::BadSignature));
    // A digest that fits a new body is not the signed one; a body added to a signed GET is not covered.
    let digest = shared::wire::httpsig::content_digest(b"other");
    let swapped = ReceivedHeaders { content_digest: Some(&digest), ..headers };
    let request = RequestParts { body: b"other", ..post() };
    assert_eq!(verify(&request, &swapped), Err(SignatureError::BadSignature));
    let got = sign_request(&key(50), device(), &get(), NOW);
    let with_digest = ReceivedHeaders { content_digest: Some(&digest), ..received(&got) };
    for headers in [received(&got), with_digest] {
        let smuggled = RequestParts { body: b"other", ..get() };
        assert_eq!(verify(&smuggled, &headers), Err(SignatureError::Coverage));
    }
    assert_eq!(verify(&get(), &with_digest), Err(SignatureError::Coverage));
}

#[test]
fn the_clock_window_is_judged_only_after_the_signature() {
    let verdict = |created: u32, signer: u64| {
        let headers = sign_request(&key(signer), device(), &get(), UnixSecs(created));
        verify(&get(), &received(&headers))
    };
    for created in [NOW.0 - 300, NOW.0, NOW.0 + 300] {
        assert_eq!(verdict(created, 50), Ok(device()));
    }
    for created in [0, NOW.0 - 301, NOW.0 + 301, u32::MAX] {
        let skew = SignatureError::ClockSkew { created: UnixSecs(created), now: NOW };
        assert_eq!(verdict(created, 50), Err(skew));
        assert_eq!(verdict(created, 51), Err(SignatureError::BadSignature));
    }
}

#[test]
fn other_spellings_of_the_headers_are_refused() {
    let good = sign_request(&key(50), device(), &get(), NOW);
    let input = good.signature_input.as_str();
    let id = device().to_string();
    let spellings = [
        input.replace("hvf=", "sig="),
        input.replace("created=", "created=+"),
        input.replace("created=", "created=0"),
        input.replace(&id, &id.to_uppercase()),
        input.replace(&id, &id.replace('-', "")),
        input.replace(";alg=\"ed25519\"", ""),
        input.replace("ed25519", "hmac-sha256"),
        input.replace(" \"@query\"", ""),
        input.replace("\"@method\" \"@path\"", "\"@path\" \"@method\""),
        input.replace("\"@query\"", "\"@query\" \"content-digest\" \"date\""),
        format!("{input};expires=1"),
        format!("{input}, other=()"),
        format!(" {input}"),
        format!("{input}{}", " ".repeat(300)),
        String::new(),
        "hvf".into(),
        "hvf=é".into(),
    ];
    for other in spellings {
        let headers = ReceivedHeaders { signature_input: Some(&other), ..received(&good) };
        assert_eq!(verify(&get(), &headers), Err(SignatureError::Malformed("signature-input")), "{other}");
        assert!(claimed_device(&headers).is_err());
    }
    let signature = good.signature.as_str();
    for other in
        ["", "hvf=", "hvf=::", &signature.replace("hvf", "sig"), &signature[..80], &signature.repeat(2)]
    {
        let headers = ReceivedHeaders { signature: Some(other), ..received(&good) };
        assert_eq!(verify(&get(), &headers), Err(SignatureError::Malformed("signature")), "{other}");
    }
    let unsigned = ReceivedHeaders { signature: None, ..received(&good) };
    assert_eq!(verify(&get(), &unsigned), Err(SignatureError::Unsigned));
    assert_eq!(verify(&get(), &ReceivedHeaders::default()), Err(SignatureError::Unsigned));
}

#[test]
fn enrolment_messages_are_unlike_each_other_and_digits_depend_on_every_input() {
    let (k, d, s) = (public(&key(50)), Nonce32([1; 32]), Nonce32([2; 32]));
    let (e, t) = (Nonce16([3; 16]), Hash32([4; 32]));
    assert_ne!(reveal_message(&e, &s, &k, &d), reveal_message(&e, &d, &k, &s));
    assert!(!reveal_message(&e, &s, &k, &d).starts_with(&poll_message(&e)));
    assert_ne!(commitment(&k, &d), commitment(&k, &s));
    let base = digits("https://a.example", &t, &k, &d, &s);
    assert_eq!(base.len(), 6);
    assert!(base.bytes().all(|b| b.is_ascii_digit()));
    let others = [
        digits("https://b.example", &t, &k, &d, &s),
        digits("https://a.example", &Hash32([5; 32]), &k, &d, &s),
        digits("https://a.example", &t, &public(&key(51)), &d, &s),
        digits("https://a.example", &t, &k, &s, &s),
        digits("https://a.example", &t, &k, &d, &d),
    ];
    for other in others {
        assert_ne!(other, base);
    }
}

#[test]
fn digits_cover_the_whole_range_evenly_and_keep_leading_zeros() {
    let k = public(&key(50));
    let mut tens = [0u32; 10];
    for n in 0..10_000u32 {
        let mut nonce = [0; 32];
        nonce[..4].copy_from_slice(&n.to_be_bytes());
        let text = digits("https://a.example", &Hash32([4; 32]), &k, &Nonce32(nonce), &Nonce32([2; 32]));
        assert_eq!(text.len(), 6);
        tens[usize::from(text.as_bytes()[0] - b'0')] += 1;
    }
    assert!(tens.iter().all(|&n| (850..1150).contains(&n)), "{tens:?}");
}

#[test]
fn links_survive_and_other_forms_are_refused() {
    let link = Link {
        origin: "https://tickets.example:8443".into(),
        slot: Nonce16([1; 16]),
        secret: Nonce16([0xfe; 16]),
        trust_root_hash: Hash32([3; 32]),
    };
    let url = link.to_url();
    assert_eq!(Link::parse(&url), Ok(link.clone()));
    assert_eq!(Link::parse(&format!(" {url}\n")), Ok(link.clone()));
    assert_eq!(Link::parse(&url.replace("tickets.example", "Tickets.Example")), Ok(link));
    assert_eq!(Link::parse(&url.replace("#1.", "#2.")), Err(InviteError::Version));
    assert_eq!(Link::parse(&url.replace("https", "ftp")), Err(InviteError::Origin));
    for other in [
        url.replace("#1.", "#"),
        url.replace("#1.", "#01x."),
        url.replace("https://", ""),
        url.replace("/gates/enroll", "/gates/other"),
        format!("{url}.AAAA"),
        format!("{url}="),
        url[..url.len() - 1].to_owned(),
        format!("{url}{}", "A".repeat(500)),
        String::new(),
    ] {
        assert_eq!(Link::parse(&other), Err(InviteError::Link), "{other}");
    }
    // The last character's unused bits must be zero: one link, one spelling.
    let mut sloppy = url.clone();
    sloppy.pop();
    sloppy.push('N');
    assert_ne!(sloppy, url);
    assert_eq!(Link::parse(&sloppy), Err(InviteError::Link));
    assert!(!format!("{:?}", Link::parse(&url).unwrap()).contains("fefe"), "the secret stays out of logs");
}

#[test]
fn origins_have_one_spelling() {
    for (typed, origin) in [
        ("https://a.example", "https://a.example"),
        (" A.Example/ ", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80/", "http://a.example"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("localhost:3000", "https://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("http://a.example:443", "http://a.example:443"),
    ] {
        assert_eq!(normalize_origin(typed).as_deref(), Ok(origin), "{typed}");
        assert_eq!(normalize_origin(origin).as_deref(), Ok(origin), "{origin} is stable");
    }
    let long = "a".repeat(300);
    for bad in [
        "",
        "https://",
        "https:///",
        "ftp://a",
        "a b",
        "a/b",
        "https://a/b",
        "https://u@a",
        "a?b",
        "a#b",
        "a:",
        "a:0",
        "a:65536",
        "a:08",
        "a:x",
        ":80",
        "é.example",
        "[::1",
        "[]",
        "[x]:1",
        "https://https://a",
        &long,
    ] {
        assert_eq!(normalize_origin(bad), Err(InviteError::Origin), "{bad}");
    }
}

#[test]
fn typed_codes_forgive_what_people_do_and_nothing_else() {
    let code = TypedCode::from_random([0x21, 0x98, 0xcb, 0xa9, 0x87]);
    let shown = code.to_text();
    assert_eq!(shown, "46CC-QAC7");
    for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), " 46 cc-QA c7-".into()] {
        assert_eq!(TypedCode::parse(&typed), Ok(code.clone()));
    }
    assert_eq!(TypedCode::parse("oOiI-lL11"), TypedCode::parse("0011-1111"));
    for bad in ["", "46CC-QAC", "46CC-QAC77", "46CC-QACU", "46CC-QAC*", "46CC-QACé", "46CC_QAC7", "46CCQAC\0"]
    {
        assert_eq!(TypedCode::parse(bad), Err(InviteError::Typed), "{bad}");
    }
    assert_eq!(TypedCode::from_random([0; 5]).to_text(), "0000-0000");
    assert_eq!(TypedCode::from_random([0xff; 5]).to_text(), "ZZZZ-ZZZZ");
    for shown in [format!("{code:?}"), format!("{:?}", code.invitation())] {
        assert!(!shown.contains("QAC7"), "the secret stays out of logs: {shown}");
    }
}
