//! Nothing secret is stored or logged as it is.

use std::io;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::json;
use support::server::TestServer;

use crate::{change, refresh, sign_in, text};

#[tokio::test]
async fn neither_the_database_nor_the_log_holds_a_secret_in_the_clear() -> Result<()> {
    let log = Log::default();
    let _guard = log.listen();
    let server = TestServer::start().await?;
    let password = "a very secret password";
    let body = json!({ "email": "ada@example.org", "password": password, "data": { "name": "Countess" } });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    let next = refresh(&server, &session["refresh_token"]).await?.expect(200)?;
    refresh(&server, &session["refresh_token"]).await?;
    sign_in(&server, "ada@example.org", "wrong password").await?;
    let again = sign_in(&server, "ada@example.org", password).await?.expect(200)?;
    change(&server, &again, &json!({ "password": "wholly new password" })).await?.expect(200)?;
    server.post("/auth/v1/signup", &json!({ "email": "eve@example.org", "password": "short7" })).await?;
    server.post("/auth/v1/signup", &json!({ "email": "eve@example.org", "password": [password] })).await?;

    let mut secrets =
        vec![password.to_owned(), "wrong password".into(), "wholly new password".into(), "short7".into()];
    for session in [&session, &next, &again] {
        secrets.push(text(session, "refresh_token").to_owned());
        let token = text(session, "access_token");
        secrets.extend(token.rsplit_once('.').map(|(_, signature)| signature.to_owned()));
    }
    let stored = server.db.dump(&["users", "sessions", "refresh_tokens", "rate_limits"]).await?;
    let logged = log.text();
    assert!(logged.contains("a used refresh token came again"), "the log was heard");
    assert!(logged.contains("insert into refresh_tokens"), "and with every statement");
    for secret in &secrets {
        assert!(!stored.contains(secret), "{secret} is stored");
        assert!(!logged.contains(secret), "{secret} is logged");
    }
    for personal in ["ada@example.org", "eve@example.org", "Countess"] {
        assert!(!logged.contains(personal), "{personal} is logged");
    }
    Ok(())
}

/// Everything that is logged on this thread.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> impl Drop + use<> {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("trace,h2=off,hyper=off,hyper_util=off,reqwest=off,mio=off")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        use tracing_subscriber::util::SubscriberInitExt as _;
        subscriber.set_default()
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
