//! The database under the server: started, killed, found again, refused.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hvflvspot::clock::SharedRng;
use hvflvspot::keys::MasterKey;
use hvflvspot::pg::{Cluster, Settings};
use hvflvspot::store::endpoint::DATABASE;
use hvflvspot::store::{Db, Endpoint, migrate};
use sqlx::{Connection as _, Executor as _, PgConnection};
use support::db::TestDb;
use support::process::{ServerProcess, binary, reachable_dir};
use support::until;

/// The postmaster of a data folder.
fn postmaster(data: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(data.join("postgres/postmaster.pid"))?;
    Ok(text.lines().next().context("an empty pid file")?.trim().parse()?)
}

async fn wait_until_gone(pid: u32) -> Result<()> {
    until("PostgreSQL is gone", async || Ok(!Path::new(&format!("/proc/{pid}")).exists())).await
}

async fn connect(data: &Path) -> Result<PgConnection> {
    Ok(PgConnection::connect_with(&Endpoint::private(&data.join("run"), DATABASE).admin()).await?)
}

#[tokio::test]
async fn the_private_database_survives_a_kill_and_ends_with_its_server() -> Result<()> {
    let dir = reachable_dir()?;
    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await?;
    let mut conn = connect(&data).await?;
    conn.execute(
        "insert into users (id, email, created_at, updated_at)
         values ('00000000-0000-7000-8000-000000000001', 'kept@example.org', now(), now())",
    )
    .await?;
    drop(conn);
    let first = postmaster(&data)?;
    server.kill().await?;
    // At once, while the old PostgreSQL may still be ending.
    let server = ServerProcess::start(&data, &[]).await?;
    wait_until_gone(first).await?;
    let kept: i64 = sqlx::query_scalar("select count(*) from users where email = 'kept@example.org'")
        .fetch_one(&mut connect(&data).await?)
        .await?;
    assert_eq!(kept, 1);

    // Killed with nobody coming after it.
    let second = postmaster(&data)?;
    server.kill().await?;
    wait_until_gone(second).await?;

    // A pid file of a machine that lost power, whose number now is somebody else's.
    std::fs::write(data.join("postgres/postmaster.pid"), format!("{}\n", std::process::id()))?;
    let server = ServerProcess::start(&data, &[]).await?;
    let third = postmaster(&data)?;
    assert!(server.stop().await?.success());
    assert!(!Path::new(&format!("/proc/{third}")).exists(), "a clean stop waits for PostgreSQL");
    assert!(!data.join("postgres/postmaster.pid").exists());
    let log = std::fs::read_to_string(data.join("postgres.log"))?;
    assert!(log.trim_end().ends_with("database system is shut down"), "{log}");
    Ok(())
}

#[tokio::test]
async fn the_server_starts_its_database_again_when_that_dies() -> Result<()> {
    let dir = reachable_dir()?;
    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await?;
    let first = postmaster(&data)?;
    std::process::Command::new("kill").args(["-KILL", &first.to_string()]).status()?;
    wait_until_gone(first).await?;
    let client = reqwest_client();
    until("the server recovers", async || {
        let reply = client.get(format!("{}/health/ready", server.url)).send().await;
        Ok(reply.is_ok_and(|r| r.status().as_u16() == 204))
    })
    .await?;
    assert_ne!(postmaster(&data)?, first);
    assert!(server.stop().await?.success());
    Ok(())
}

fn reqwest_client() -> reqwest::Client {
    hvflvspot::tls::install_provider();
    reqwest::Client::new()
}

async fn refusal(data: &Path, env: &[(&str, &str)]) -> Result<String> {
    let output = tokio::process::Command::new(binary("hvflvspot")?)
        .arg("serve")
        .env("HVFLVSPOT_DATA_DIR", data)
        .env("HVFLVSPOT_LISTEN", "127.0.0.1:0")
        .env_remove("DATABASE_URL")
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::null())
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.context("it serves")??;
    assert_eq!(output.status.code(), Some(1));
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn refusal_of_pools(data: &Path) -> Result<String> {
    let endpoint = Endpoint::private(&data.join("run"), DATABASE);
    let refused = Db::connect(&endpoint, 2).await.err().context("unbound roles are accepted")?;
    Ok(refused.to_string())
}

#[tokio::test]
async fn what_cannot_work_is_refused_in_a_line_that_says_why() -> Result<()> {
    let dir = reachable_dir()?;
    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await?;
    assert!(refusal(&data, &[]).await?.contains("another hvflvspot runs on the data folder"));
    for (attribute, word) in [("superuser", "is a superuser"), ("nosuperuser bypassrls", "allowed to bypass")]
    {
        let statement = format!("alter role hvflvspot_app {attribute}");
        connect(&data).await?.execute(sqlx::AssertSqlSafe(statement)).await?;
        let unbound = refusal_of_pools(&data).await?;
        assert!(unbound.contains(word) && unbound.contains("nosuperuser nobypassrls"), "{unbound}");
    }
    server.stop().await?;
    let unbound = refusal(&data, &[]).await?;
    assert!(unbound.contains("allowed to bypass row level security"), "{unbound}");

    let nowhere = dir.path().join("nowhere");
    let missing = refusal(&dir.path().join("b"), &[("HVFLVSPOT_PG_BIN", &nowhere.to_string_lossy())]).await?;
    assert!(missing.contains("there is no PostgreSQL"), "{missing}");

    std::fs::write(data.join("postgres/PG_VERSION"), "9\n")?;
    let old = refusal(&data, &[]).await?;
    assert!(old.contains("made by PostgreSQL 9") && old.contains("pg_upgrade"), "{old}");

    let settings = refusal(&data, &[("HVFLVSPOT_LISTEN", "x"), ("HVFLVSPOT_HOLD_MINUTES", "0")]).await?;
    assert!(settings.contains("2 problems"), "{settings}");
    Ok(())
}

#[tokio::test]
async fn many_servers_may_migrate_at_once_and_again() -> Result<()> {
    let test = TestDb::new().await?;
    let mut admin = PgConnection::connect_with(&test.endpoint.with_database("postgres").admin()).await?;
    let name = format!("race_{}", std::process::id());
    admin.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await?;
    let fresh = test.endpoint.with_database(&name);
    let outcomes =
        tokio::join!(migrate::run(&fresh), migrate::run(&fresh), migrate::run(&fresh), migrate::run(&fresh));
    for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
        outcome?;
    }
    migrate::run(&fresh).await?;
    let epochs: i64 = sqlx::query_scalar("select count(*) from server_identity")
        .fetch_one(&mut PgConnection::connect_with(&fresh.admin()).await?)
        .await?;
    assert_eq!(epochs, 1, "the same database is the same epoch");
    admin.execute(sqlx::AssertSqlSafe(format!("drop database {name} with (force)"))).await?;
    Ok(())
}

#[tokio::test]
async fn another_system_identifier_starts_a_new_epoch() -> Result<()> {
    let test = TestDb::new().await?;
    let mut owner = test.owner().await?;
    owner.execute("update server_identity set system_identifier = 'another machine'").await?;
    migrate::run(&test.endpoint).await?;
    migrate::run(&test.endpoint).await?;
    let epochs: Vec<i64> =
        sqlx::query_scalar("select epoch from server_identity order by 1").fetch_all(&mut owner).await?;
    assert_eq!(epochs, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn an_external_database_asks_for_passwords_that_come_from_the_master_key() -> Result<()> {
    let dir = reachable_dir()?;
    let cluster = Cluster::start(Settings {
        data_dir: dir.path().join("external"),
        pg_bin: None,
        max_connections: 40,
        options: vec!["fsync=off".to_owned()],
        dies_with_us: true,
    })
    .await?;
    let data = dir.path().join("external");
    let mut admin = connect(&data).await?;
    admin.execute("create role dba login createrole password 'dba'").await?;
    admin.execute("alter database hvflvspot owner to dba").await?;
    // From now on everybody but the administrator needs a password.
    let rules = "local all hvflvspot_cluster trust\nlocal all all scram-sha-256\n";
    std::fs::write(data.join("postgres/pg_hba.conf"), rules)?;
    admin.execute("select pg_reload_conf()").await?;
    let url = format!("postgres:///hvflvspot?host={}&user=dba&password=dba", cluster.socket_dir().display());
    let asked = async {
        let wrong = url.replace("password=dba", "password=wrong");
        while let Ok(conn) = PgConnection::connect(&wrong).await {
            conn.close().await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.context("the rules are not in force")??;

    let (key, other) = ("07".repeat(32), "08".repeat(32));
    let with = |key: &str| vec![("DATABASE_URL", url.clone()), ("HVFLVSPOT_MASTER_KEY", key.to_owned())];
    let env = with(&key);
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
    // Two servers on one database, each with a data folder of its own, in which nothing is made.
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let first = ServerProcess::start(&one, &env).await?;
    let second = ServerProcess::start(&two, &env).await?;
    assert!(!one.join("postgres").exists());

    let env = with(&other);
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let refused = refusal(&one, &env).await?;
    assert!(refused.contains("sealed under the master key"), "{refused}");
    let missing = refusal(&one, &[("DATABASE_URL", url.as_str())]).await?;
    assert!(missing.contains("HVFLVSPOT_MASTER_KEY") && !missing.contains("password=dba"), "{missing}");

    // The servers that hold the key still log in.
    let client = reqwest_client();
    for server in [&first, &second] {
        let ready = client.get(format!("{}/health/ready", server.url)).send().await?;
        assert_eq!(ready.status().as_u16(), 204);
    }
    first.stop().await?;
    second.stop().await?;
    cluster.stop().await
}

#[tokio::test]
async fn an_external_database_is_prepared_by_a_user_that_is_no_superuser() -> Result<()> {
    let test = TestDb::new().await?;
    let mut superuser = test.superuser().await?;
    // A DBA's user that may create roles and owns the database, and is no superuser.
    let name = format!("ext_{}", std::process::id());
    let socket = test.endpoint.socket_dir().context("the test cluster has a socket")?;
    for statement in [
        format!("create role {name} login createrole nosuperuser"),
        format!("grant hvflvspot_owner to {name}"),
        format!("create database {name} owner {name}"),
    ] {
        superuser.execute(sqlx::AssertSqlSafe(statement)).await?;
    }
    let url = format!("postgres:///{name}?host={}&user={name}", socket.display());
    let endpoint = Endpoint::external(&url, &MasterKey::generate(&SharedRng::seeded(5)))?;
    migrate::run(&endpoint).await?;
    let db = Db::connect(&endpoint, 2).await?;
    db.ping().await?;
    db.close().await;
    for statement in [format!("drop database {name} with (force)"), format!("drop role {name}")] {
        superuser.execute(sqlx::AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_administrator_is_made_beside_a_running_server_and_signs_in() -> Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let dir = reachable_dir()?;
    let data = dir.path().join("data");
    let server = ServerProcess::start(&data, &[]).await?;
    let admin = async |args: &[&str], password: &str| -> Result<(bool, String)> {
        let mut child = tokio::process::Command::new(binary("hvflvspot")?)
            .args(["admin", "create", "--email", "ada@example.org", "--json"])
            .args(args)
            .env("HVFLVSPOT_DATA_DIR", &data)
            .env_remove("DATABASE_URL")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        // With --promote nobody reads it.
        let _ = stdin.write_all(format!("{password}\n").as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(text)?))
    };
    let (done, short) = admin(&[], "tooshort").await?;
    assert!(!done && short.contains("12"), "{short}");
    let (done, missing) = admin(&["--promote"], "").await?;
    assert!(!done && missing.contains("there is no account"), "{missing}");
    let (done, made) = admin(&[], "a rather long passphrase").await?;
    assert!(done && made.contains("\"role\":\"admin\""), "{made}");
    let (done, again) = admin(&[], "a rather long passphrase").await?;
    assert!(!done && again.contains("--promote"), "{again}");
    assert!(admin(&["--promote"], "").await?.0);

    let client = reqwest_client();
    let session: serde_json::Value = client
        .post(format!("{}/auth/v1/token?grant_type=password", server.url))
        .json(&serde_json::json!({"email": "ADA@example.org", "password": "a rather long passphrase"}))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let token = session["access_token"].as_str().context("no token")?;
    let whoami: serde_json::Value =
        client.get(format!("{}/auth/verify", server.url)).bearer_auth(token).send().await?.json().await?;
    assert_eq!(whoami["role"], "admin", "{whoami}");
    assert!(server.stop().await?.success());
    Ok(())
}

/// Waits until no connection of this database but `conn` is inside a transaction.
async fn nobody_is_inside(conn: &mut PgConnection) -> Result<()> {
    let left = async {
        loop {
            let inside: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                    and state like 'idle in transaction%'",
            )
            .fetch_one(&mut *conn)
            .await?;
            if inside == 0 {
                return anyhow::Ok(());
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left).await.context("a connection is still inside")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_while_a_transaction_begins_leaves_no_connection_inside_one() -> Result<()> {
    let test = TestDb::new().await?;
    let db = test.connect().await?;
    let mut conn = test.superuser().await?;
    let mut went = 0;
    for moments in 0..300 {
        let leaves = async {
            for _ in 0..moments * 4 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = leaves => went += 1,
            begun = db.platform() => drop(begun?),
        }
        nobody_is_inside(&mut conn).await.with_context(|| format!("after {moments} moments"))?;
    }
    anyhow::ensure!(went > 10, "nobody went away in time");
    Ok(())
}
