//! Message encryption for Web Push: RFC 8291 over RFC 8188 (`aes128gcm`). One record; what is sent can be read by the
//! browser alone that subscribed.

use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::clock::SharedRng;

/// Room for the text in a record of 4096 bytes: header 86, tag 16, delimiter 1.
pub const MAX_PLAIN: usize = 4_096 - 86 - 16 - 1;
const RECORD_SIZE: u32 = 4_096;

/// Why nothing can be encrypted for a subscription.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EncryptError {
    #[error("the subscription's public key is none")]
    PublicKey,
    #[error("the message is too long")]
    TooLong,
    #[error("the cipher failed")]
    Cipher,
}

/// Whether 65 bytes are a point of the curve.
#[must_use]
pub fn is_public_key(bytes: &[u8]) -> bool {
    bytes.len() == 65 && PublicKey::from_sec1_bytes(bytes).is_ok()
}

/// Encrypts `plain` for the browser with the key `theirs` and the shared secret `auth`, by a key of its own.
///
/// # Errors
/// [`EncryptError`]
pub fn encrypt(
    plain: &[u8],
    theirs: &[u8],
    auth: &[u8; 16],
    rng: &SharedRng,
) -> Result<Vec<u8>, EncryptError> {
    // All but a few of 2^256 numbers are keys.
    let ours = loop {
        let bytes = Zeroizing::new(rng.bytes::<32>());
        if let Ok(key) = SecretKey::from_slice(&bytes[..]) {
            break key;
        }
    };
    encrypt_with(plain, theirs, auth, &ours, &rng.bytes())
}

fn encrypt_with(
    plain: &[u8],
    theirs: &[u8],
    auth: &[u8; 16],
    ours: &SecretKey,
    salt: &[u8; 16],
) -> Result<Vec<u8>, EncryptError> {
    if plain.len() > MAX_PLAIN {
        return Err(EncryptError::TooLong);
    }
    let their_key = PublicKey::from_sec1_bytes(theirs).map_err(|_| EncryptError::PublicKey)?;
    let our_point = ours.public_key().to_sec1_point(false);
    let our_point = our_point.as_bytes();
    let shared = diffie_hellman(ours.to_nonzero_scalar(), their_key.as_affine());

    // RFC 8291, section 3.4.
    let ikm = derive::<32>(auth, shared.raw_secret_bytes(), &[b"WebPush: info\0", theirs, our_point])?;
    let key = derive::<16>(salt, &ikm[..], &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce = derive::<12>(salt, &ikm[..], &[b"Content-Encoding: nonce\0"])?;

    let cipher = UnboundKey::new(&AES_128_GCM, &key[..]).map_err(|_| EncryptError::Cipher)?;
    let mut sealed = plain.to_vec();
    // The last record's delimiter.
    sealed.push(2);
    LessSafeKey::new(cipher)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut sealed)
        .map_err(|_| EncryptError::Cipher)?;

    let mut out = salt.to_vec();
    out.extend(RECORD_SIZE.to_be_bytes());
    out.push(65);
    out.extend(our_point);
    out.extend(sealed);
    Ok(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(
    salt: &[u8],
    ikm: &[u8],
    info: &[&[u8]],
) -> Result<Zeroizing<[u8; N]>, EncryptError> {
    let mut out = Zeroizing::new([0; N]);
    Salt::new(HKDF_SHA256, salt)
        .extract(ikm)
        .expand(info, Length(N))
        .and_then(|okm| okm.fill(&mut out[..]))
        .map_err(|_| EncryptError::Cipher)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8291_comes_out_byte_for_byte() {
        let theirs =
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let ours = SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap();
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let plain = b"When I grow up, I want to be a watermelon";
        let sealed = encrypt_with(plain, &theirs, &auth, &ours, &salt).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(sealed),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru\
             3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn nothing_is_encrypted_for_what_is_no_key_and_nothing_that_does_not_fit() {
        let rng = SharedRng::seeded(1);
        assert!(!is_public_key(&[4; 65]) && !is_public_key(&[]));
        assert_eq!(encrypt(b"x", &[4; 65], &[0; 16], &rng), Err(EncryptError::PublicKey));
        let theirs =
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        assert!(is_public_key(&theirs));
        let long = vec![0; MAX_PLAIN + 1];
        assert_eq!(encrypt(&long, &theirs, &[0; 16], &rng), Err(EncryptError::TooLong));
        assert_eq!(encrypt(&long[1..], &theirs, &[0; 16], &rng).unwrap().len(), 4_096);
        assert_ne!(encrypt(b"x", &theirs, &[0; 16], &rng), encrypt(b"x", &theirs, &[0; 16], &rng));
    }
}
