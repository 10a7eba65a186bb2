//! Clients that mean harm, against the real server process: they are refused or let go, and meanwhile everybody else is
//! answered. A probe asks all the time; it asserts answers, not times.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use support::process::{PATIENCE, ServerProcess, reachable_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// A server that loses patience soon, and its folder.
async fn server(more: &[(&str, &str)]) -> Result<(ServerProcess, tempfile::TempDir)> {
    let folder = reachable_dir()?;
    let mut settings = vec![
        ("HVFLVSPOT_HTTP_HEADER_TIMEOUT_SECS", "1"),
        ("HVFLVSPOT_HTTP_REQUEST_TIMEOUT_SECS", "2"),
        ("HVFLVSPOT_LOG", "warn"),
    ];
    settings.extend_from_slice(more);
    let server = ServerProcess::start(&folder.path().join("server"), &settings).await?;
    Ok((server, folder))
}

/// Connects as another machine would: from an address of its own, of which loopback has many.
async fn connect(from: u8, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
    Ok(socket.connect(to).await?)
}

/// Everybody else: a fresh connection, one question, one answer.
async fn probe(to: SocketAddr) -> Result<()> {
    let ask = async {
        let mut stream = connect(99, to).await?;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        Ok(())
    };
    tokio::time::timeout(PATIENCE, ask).await.context("others are not answered")?
}

/// What the server says until it closes the connection.
async fn rest(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    // A reset is a way of closing, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.context("still open")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn say(to: SocketAddr, text: &str) -> Result<String> {
    let mut stream = connect(2, to).await?;
    // The server may refuse before it has read everything.
    let _ = stream.write_all(text.as_bytes()).await;
    rest(&mut stream).await
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

#[tokio::test]
async fn heads_that_drip_in_are_let_go_and_others_answered() -> Result<()> {
    let (server, _folder) = server(&[]).await?;
    let to = server.address()?;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(2, to).await?;
        stream.write_all(b"GET /events/search HTTP/1.1\r\nhost: t\r\nx-drip: ").await?;
        slow.push(stream);
    }
    for _ in 0..20 {
        for stream in &mut slow {
            let _ = stream.write_all(b"a").await;
        }
        probe(to).await?;
    }
    for stream in &mut slow {
        let answer = rest(stream).await?;
        ensure!(answer.is_empty() || status(&answer) == "408", "{answer}");
    }
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn bodies_that_drip_in_are_given_up_and_others_answered() -> Result<()> {
    // Far fewer places for requests at work than there are slow ones.
    let (server, _folder) = server(&[("HVFLVSPOT_HTTP_MAX_IN_FLIGHT", "4")]).await?;
    let to = server.address()?;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(2, to).await?;
        let head = "POST /tickets/purchase HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{";
        stream.write_all(head.as_bytes()).await?;
        slow.push(stream);
    }
    for _ in 0..20 {
        for stream in &mut slow {
            let _ = stream.write_all(b" ").await;
        }
        probe(to).await?;
    }
    for stream in &mut slow {
        let mut answer = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.context("still waits")??;
        assert_eq!(&answer, b"HTTP/1.1 503");
    }
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn unfinished_bodies_cannot_fill_the_memory() -> Result<()> {
    // 4 × 64 KiB in all for one client; nobody is let go for being slow.
    let settings = [
        ("HVFLVSPOT_HTTP_MAX_IN_FLIGHT", "16"),
        ("HVFLVSPOT_HTTP_BODY_LIMIT", "65536"),
        ("HVFLVSPOT_HTTP_REQUEST_TIMEOUT_SECS", "3600"),
    ];
    let (server, _folder) = server(&settings).await?;
    let to = server.address()?;
    let head = "POST /tickets/purchase HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n";
    // Five of them are one too many, whichever is the last.
    let mut held = JoinSet::new();
    for _ in 0..5 {
        let mut stream = connect(2, to).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&[b' '; 65_000]).await?;
        held.spawn(async move {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.map(|_| answer)
        });
    }
    let first = tokio::time::timeout(PATIENCE, held.join_next()).await.context("all of it is taken")?;
    assert_eq!(&first.context("nobody waits")???, b"HTTP/1.1 503");
    probe(to).await?;
    // What the others hold is free again when they go.
    held.shutdown().await;
    let fine = async {
        loop {
            let body = " ".repeat(60_000);
            let text = format!(
                "POST /tickets/purchase HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            if status(&say(to, &text).await?) == "400" {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, fine).await.context("what was held is not given back")??;
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn heads_too_large_and_bodies_that_would_unfold_are_refused() -> Result<()> {
    let (server, _folder) = server(&[]).await?;
    let to = server.address()?;
    let huge = format!("GET /health/live HTTP/1.1\r\nhost: t\r\nx-huge: {}\r\n\r\n", "a".repeat(200_000));
    assert_eq!(status(&say(to, &huge).await?), "431");
    probe(to).await?;
    let many: String = (0..500).map(|n| format!("x-{n}: a\r\n")).collect();
    let many = format!("GET /health/live HTTP/1.1\r\nhost: t\r\n{many}\r\n");
    assert_eq!(status(&say(to, &many).await?), "431");
    probe(to).await?;
    let long = format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "a".repeat(100_000));
    ensure!(["414", "431"].contains(&status(&say(to, &long).await?)));
    probe(to).await?;
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let bomb = format!(
            "POST /tickets/purchase HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-encoding: {coding}\r\ncontent-length: 4\r\n\r\n\u{1f}\u{1}ab"
        );
        let answer = say(to, &bomb).await?;
        assert_eq!(status(&answer), "415", "{coding}: {answer}");
        assert!(answer.to_lowercase().contains("accept-encoding: identity"), "{answer}");
    }
    probe(to).await?;
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_request_whose_length_is_in_doubt_never_carries_a_second_one() -> Result<()> {
    let (server, _folder) = server(&[]).await?;
    let to = server.address()?;
    let second = "GET /smuggled HTTP/1.1\r\nhost: t\r\n\r\n";
    let chunked = format!("0\r\n\r\n{second}");
    let length = chunked.len();
    for (shape, headers, body) in [
        (
            "CL before TE",
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            chunked.clone(),
        ),
        (
            "TE before CL",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            chunked.clone(),
        ),
        ("TE alone", "transfer-encoding: chunked\r\n".to_owned(), chunked.clone()),
        (
            "two lengths",
            format!("content-length: 0\r\ncontent-length: {}\r\n", second.len()),
            second.to_owned(),
        ),
        ("a list of lengths", format!("content-length: 0, {}\r\n", second.len()), second.to_owned()),
        ("a signed length", "content-length: +0\r\n".to_owned(), second.to_owned()),
        ("a length in hex", "content-length: 0x0\r\n".to_owned(), second.to_owned()),
        ("an unknown coding", "transfer-encoding: xchunked\r\n".to_owned(), chunked.clone()),
        ("chunked not last", "transfer-encoding: chunked, identity\r\n".to_owned(), chunked.clone()),
        ("a space before the colon", "transfer-encoding : chunked\r\n".to_owned(), chunked.clone()),
        ("a folded line", "x: y\r\n transfer-encoding: chunked\r\n".to_owned(), second.to_owned()),
    ] {
        let text = format!(
            "POST /auth/v1/signup HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
        );
        let answer = say(to, &text).await.with_context(|| shape.to_owned())?;
        let answers = answer.matches("HTTP/1.1 ").count();
        ensure!(answers <= 1 && !answer.contains("no_such_route"), "{shape}: {answers} answers: {answer}");
        ensure!(answer.is_empty() || status(&answer).starts_with('4'), "{shape}: {answer}");
        probe(to).await?;
    }
    server.stop().await?;
    Ok(())
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() -> Result<()> {
    let settings = [
        ("HVFLVSPOT_HTTP_MAX_CONNECTIONS", "64"),
        ("HVFLVSPOT_HTTP_MAX_CONNECTIONS_PER_CLIENT", "32"),
        // Nobody is let go for being slow while this goes on.
        ("HVFLVSPOT_HTTP_HEADER_TIMEOUT_SECS", "3600"),
    ];
    let (server, _folder) = server(&settings).await?;
    let to = server.address()?;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(connect(2, to).await?);
        if held.len() % 30 == 0 {
            probe(to).await?;
        }
    }
    // Those beyond its share were closed at once.
    for stream in &mut held[32..] {
        assert_eq!(rest(stream).await?, "");
    }
    probe(to).await?;
    // Who lets go may come back.
    held.clear();
    let back = async {
        loop {
            let answer = say(to, "GET /health/live HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await?;
            if status(&answer) == "204" {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, back).await.context("its share is not given back")??;
    server.stop().await?;
    Ok(())
}
