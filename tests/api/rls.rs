//! Row level security, read from the catalogue: a table that somebody adds tomorrow is covered, or
//! fails here, without a change to this file.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use support::db::TestDb;
use uuid::Uuid;

const ROLES: [&str; 3] = ["hvflvspot_owner", "hvflvspot_app", "hvflvspot_worker"];

/// Small tables that every node may hold whole: tenant tables may point to them.
const REFERENCE_TABLES: [&str; 1] = ["categories"];

/// Everything that breaks the rules of migrations/README.md, in words.
async fn violations(db: &mut PgConnection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let tables = sqlx::query(
        "select c.oid, c.relname::text as name, c.relrowsecurity, c.relforcerowsecurity, r.kind, r.append_only
           from pg_class c left join table_registry r on r.table_name = c.relname
          where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
          order by 2",
    )
    .fetch_all(&mut *db)
    .await?;
    for table in &tables {
        let name: String = table.get("name");
        if !table.get::<bool, _>("relrowsecurity") || !table.get::<bool, _>("relforcerowsecurity") {
            found.push(format!("{name}: row level security is not on and forced"));
        }
        let Some(kind) = table.get::<Option<String>, _>("kind") else {
            found.push(format!("{name}: neither tenant_table nor platform_table was called"));
            continue;
        };
        for role in ROLES {
            let has: bool = sqlx::query_scalar(
                "select exists (select from pg_policy
                  where polrelid = ('public.' || quote_ident($1))::regclass and polpermissive
                    and (select oid from pg_roles where rolname = $2) = any (polroles))",
            )
            .bind(&name)
            .bind(role)
            .fetch_one(&mut *db)
            .await?;
            if !has {
                found.push(format!("{name}: no policy for {role}"));
            }
        }
        // A policy for public would apply to roles that nobody thought of.
        let open: i64 = sqlx::query_scalar(
            "select count(*) from pg_policy where polrelid = ('public.' || quote_ident($1))::regclass and 0 = any (polroles)",
        )
        .bind(&name)
        .fetch_one(&mut *db)
        .await?;
        if open > 0 {
            found.push(format!("{name}: a policy for everybody"));
        }
        if table.get::<Option<bool>, _>("append_only") == Some(true) {
            for role in &ROLES[1..] {
                for verb in ["update", "delete", "truncate"] {
                    let may: bool = sqlx::query_scalar(
                        "select has_table_privilege($1, 'public.' || quote_ident($2), $3)",
                    )
                    .bind(role)
                    .bind(&name)
                    .bind(verb)
                    .fetch_one(&mut *db)
                    .await?;
                    if may {
                        found.push(format!("{name}: is append only and {role} may {verb}"));
                    }
                }
                let may: bool = sqlx::query_scalar(
                    "select has_any_column_privilege($1, 'public.' || quote_ident($2), 'update')",
                )
                .bind(role)
                .bind(&name)
                .fetch_one(&mut *db)
                .await?;
                if may {
                    found.push(format!("{name}: is append only and {role} may update a column"));
                }
            }
        }
        if kind == "tenant" {
            let loose: Vec<String> = sqlx::query_scalar(
                "select i.indexrelid::regclass::text from pg_index i
                   left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                  where i.indrelid = ('public.' || quote_ident($1))::regclass and i.indisunique
                    and a.attname is distinct from 'organizer_id'
                 union all
                 select conname::text from pg_constraint c
                   join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
                  where c.conrelid = ('public.' || quote_ident($1))::regclass and c.contype = 'f'
                    and a.attname <> 'organizer_id' and c.confrelid::regclass::text <> all ($2)",
            )
            .bind(&name)
            .bind(REFERENCE_TABLES)
            .fetch_all(&mut *db)
            .await?;
            found.extend(
                loose.into_iter().map(|key| format!("{name}: {key} does not start with organizer_id")),
            );
            let has_key: bool = sqlx::query_scalar(
                "select exists (select from pg_index where indrelid = ('public.' || quote_ident($1))::regclass and indisprimary)",
            )
            .bind(&name)
            .fetch_one(&mut *db)
            .await?;
            if !has_key {
                found.push(format!("{name}: has no primary key"));
            }
            let triggers: i64 = sqlx::query_scalar(
                "select count(*) from pg_trigger where tgrelid = ('public.' || quote_ident($1))::regclass and not tgisinternal",
            )
            .bind(&name)
            .fetch_one(&mut *db)
            .await?;
            if triggers > 0 {
                found.push(format!("{name}: has a trigger"));
            }
        }
    }
    let views: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
          where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')
            and not coalesce(reloptions @> array['security_invoker=true'], false)",
    )
    .fetch_all(&mut *db)
    .await?;
    found.extend(views.into_iter().map(|view| format!("{view}: a view that is not security_invoker")));
    let definers: Vec<String> = sqlx::query_scalar(
        "select p.oid::regprocedure::text from pg_proc p
          where p.pronamespace = 'public'::regnamespace and p.prosecdef",
    )
    .fetch_all(&mut *db)
    .await?;
    found.extend(definers.into_iter().map(|f| format!("{f}: runs with its owner's rights")));
    Ok(found)
}

#[tokio::test]
async fn every_table_is_under_row_level_security_as_the_rules_say() -> Result<()> {
    let db = TestDb::new().await?;
    let mut conn = db.owner().await?;
    assert_eq!(violations(&mut conn).await?, Vec::<String>::new());
    let tables: i64 = sqlx::query_scalar("select count(*) from table_registry").fetch_one(&mut conn).await?;
    assert!(tables >= 8, "the catalogue was read");
    Ok(())
}

#[tokio::test]
async fn the_catalogue_test_notices_what_is_forgotten() -> Result<()> {
    let db = TestDb::new().await?;
    let mut conn = db.owner().await?;
    for statement in [
        "create table bare (id uuid primary key)",
        "create table loose (organizer_id uuid, id uuid, primary key (organizer_id, id))",
        "call tenant_table('loose', append_only => true)",
        "create unique index loose_global on loose (id)",
        "grant update (id) on loose to hvflvspot_app",
        "alter table loose no force row level security",
        "drop policy worker_rule on loose",
        "create view peek as select * from users",
    ] {
        conn.execute(statement).await.context(statement)?;
    }
    let found = violations(&mut conn).await?.join("\n");
    for expected in [
        "bare: row level security is not on",
        "bare: neither tenant_table",
        "loose: row level security is not on and forced",
        "loose: loose_global does not start with organizer_id",
        "loose: is append only and hvflvspot_app may update a column",
        "loose: no policy for hvflvspot_worker",
        "peek: a view",
    ] {
        assert!(found.contains(expected), "{expected} is missing in:\n{found}");
    }
    let refused =
        conn.execute("create table g (organizer_id uuid, id uuid primary key); call tenant_table('g')").await;
    assert!(refused.unwrap_err().to_string().contains("must start with organizer_id"));
    Ok(())
}

#[tokio::test]
async fn the_roles_of_the_server_are_bound_by_policies_and_cannot_become_the_owner() -> Result<()> {
    let db = TestDb::new().await?;
    let mut superuser = db.superuser().await?;
    let unbound: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles
          where rolname like 'hvflvspot\\_%' and rolname <> 'hvflvspot_cluster'
            and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or not rolcanlogin)",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert_eq!(unbound, Vec::<String>::new());
    for options in [db.endpoint.app(), db.endpoint.worker()] {
        let mut conn = PgConnection::connect_with(&options).await?;
        for attempt in [
            "set role hvflvspot_owner",
            "alter table users disable row level security",
            "create table mine (id int)",
            "drop policy app_rule on users",
            "set session_replication_role = replica",
            "insert into table_registry values ('x', 'platform', false)",
        ] {
            let refused = conn.execute(attempt).await;
            assert!(refused.is_err(), "{attempt} is possible");
        }
    }
    Ok(())
}

/// A tenant table and what is special about it.
struct Tenant {
    name: String,
    append_only: bool,
    /// Its rows are for everybody to read.
    public: bool,
}

async fn tenant_tables(conn: &mut PgConnection) -> Result<Vec<Tenant>> {
    let rows = sqlx::query(
        "select table_name, append_only,
                exists (select from pg_policy p
                         where p.polrelid = ('public.' || quote_ident(table_name))::regclass
                           and p.polname = 'public_read' and pg_get_expr(p.polqual, p.polrelid) = 'true') as public
           from table_registry where kind = 'tenant' order by 1",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .iter()
        .map(|row| Tenant {
            name: row.get("table_name"),
            append_only: row.get("append_only"),
            public: row.get("public"),
        })
        .collect())
}

/// Takes away what keeps made-up rows out and has nothing to do with policies.
async fn loosen(superuser: &mut PgConnection) -> Result<()> {
    let statements: Vec<String> = sqlx::query_scalar(
        "select format('alter table %s drop constraint if exists %I cascade', conrelid::regclass, conname)
           from pg_constraint
          where connamespace = 'public'::regnamespace and contype in ('c', 'f', 'x') and conrelid <> 0",
    )
    .fetch_all(&mut *superuser)
    .await?;
    for statement in statements {
        superuser.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

/// An insert of one row of `organizer`, every column that must have a value made up by its type.
async fn made_up(conn: &mut PgConnection, table: &str, organizer: Uuid) -> Result<String> {
    let columns = sqlx::query(
        "select a.attname::text as name, t.typname::text as type, t.typcategory::text as category
           from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = ('public.' || quote_ident($1))::regclass and a.attnum > 0 and not a.attisdropped
            and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
          order by a.attnum",
    )
    .bind(table)
    .fetch_all(conn)
    .await?;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in &columns {
        let (name, kind, category): (String, String, String) =
            (column.get("name"), column.get("type"), column.get("category"));
        let value = match (name.as_str(), kind.as_str(), category.as_str()) {
            ("organizer_id", ..) => format!("'{organizer}'"),
            (_, "uuid", _) => "gen_random_uuid()".to_owned(),
            (_, "bytea", _) => "decode(md5(random()::text), 'hex')".to_owned(),
            (_, "json" | "jsonb", _) => "'{}'".to_owned(),
            (_, "tsvector", _) => "''::tsvector".to_owned(),
            (_, "int2" | "int4" | "int8", _) => "(random() * 30000)::int".to_owned(),
            (_, _, "N") => "1".to_owned(),
            (_, _, "B") => "false".to_owned(),
            (_, _, "D") => "now()".to_owned(),
            (_, _, "A") => "'{}'".to_owned(),
            (_, _, "T") => "interval '1 second'".to_owned(),
            (_, _, "S") | (_, "citext", _) => "md5(random()::text)".to_owned(),
            (_, kind, "R") if kind.ends_with("multirange") => "'{}'".to_owned(),
            (_, _, "R") => "'empty'".to_owned(),
            (_, _, "I") => "'192.0.2.1'".to_owned(),
            (_, _, "E") => anyhow::bail!("{table}.{name}: say here how to make up an enum"),
            _ => anyhow::bail!("{table}.{name}: say here how to make up a {kind}"),
        };
        names.push(format!("\"{name}\""));
        values.push(value);
    }
    Ok(format!("insert into \"{table}\" ({}) values ({})", names.join(", "), values.join(", ")))
}

async fn count(conn: &mut PgConnection, table: &str, organizer: Uuid) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from \"{table}\" where organizer_id = $1")))
        .bind(organizer)
        .fetch_one(conn)
        .await?)
}

/// Runs `statement` under a context in a transaction of its own that is kept; its affected rows.
async fn under(conn: &mut PgConnection, context: &str, statement: &str) -> Result<u64, sqlx::Error> {
    let mut tx = conn.begin().await?;
    tx.execute(AssertSqlSafe(format!("select ctx({context})"))).await?;
    let done = tx.execute(AssertSqlSafe(statement.to_owned())).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

fn denied(outcome: &Result<u64, sqlx::Error>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|e| e.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "42501"))
}

#[tokio::test]
async fn a_query_without_its_filter_finds_and_touches_nothing_foreign() -> Result<()> {
    let db = TestDb::new().await?;
    let mut superuser = db.superuser().await?;
    loosen(&mut superuser).await?;
    let mut owner = db.owner().await?;
    let (mine, theirs) = (Uuid::from_u128(0xA), Uuid::from_u128(0xB));
    let in_mine = format!("'{mine}', null, null, false");
    let elsewhere = [
        ("nobody", "null, null, null, false".to_owned()),
        ("a user", format!("null, '{}', null, false", Uuid::from_u128(0xC))),
        ("a guest", format!("null, null, '\\x{}', false", "07".repeat(32))),
    ];
    let tables = tenant_tables(&mut owner).await?;
    for table in &tables {
        let name = &table.name;
        for organizer in [mine, theirs, theirs] {
            // Where the organizer alone is the key, the second of theirs is none.
            let insert = made_up(&mut owner, name, organizer).await? + " on conflict do nothing";
            owner.execute(AssertSqlSafe(insert.clone())).await.with_context(|| insert)?;
        }
    }
    for options in [db.endpoint.app(), db.endpoint.worker()] {
        let mut conn = PgConnection::connect_with(&options).await?;
        let role = options.get_username().to_owned();
        let bound = |table: &Tenant| !(table.public && role == "hvflvspot_app");
        for table in &tables {
            let name = &table.name;
            let all = format!("select from \"{name}\"");
            if bound(table) {
                let seen = under(&mut conn, &in_mine, &all).await?;
                let of_mine = count(&mut owner, name, mine).await?;
                assert_eq!(i64::try_from(seen)?, of_mine, "{role} sees foreign rows of {name}");
                for (who, context) in &elsewhere {
                    let seen = under(&mut conn, context, &all).await?;
                    assert_eq!(seen, 0, "{role} as {who} sees rows of {name}");
                }
            }
            let theirs_before = count(&mut owner, name, theirs).await?;
            assert!((1..=2).contains(&theirs_before), "{name}");
            let foreign = made_up(&mut owner, name, theirs).await?;
            let inserted = under(&mut conn, &in_mine, &foreign).await;
            assert!(denied(&inserted), "{role} may insert foreign rows into {name}: {inserted:?}");
            let (update, delete) = (
                format!("update \"{name}\" set organizer_id = organizer_id"),
                format!("delete from \"{name}\""),
            );
            for statement in [update, delete] {
                for context in [&in_mine, &elsewhere[0].1, &elsewhere[1].1, &elsewhere[2].1] {
                    let outcome = under(&mut conn, context, &statement).await;
                    if table.append_only {
                        assert!(denied(&outcome), "{role} may {statement}: {outcome:?}");
                    } else if let Ok(touched) = outcome {
                        assert!(touched <= 1, "{role}: {statement} touched {touched} rows");
                    } else {
                        assert!(denied(&outcome), "{role}: {statement}: {outcome:?}");
                    }
                    assert_eq!(count(&mut owner, name, theirs).await?, theirs_before, "{role}: {statement}");
                }
            }
            // The delete above took our own row, where it may: the next role needs one again.
            if count(&mut owner, name, mine).await? == 0 {
                let again = made_up(&mut owner, name, mine).await?;
                owner.execute(AssertSqlSafe(again)).await?;
            }
        }
    }
    assert!(!tables.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_context_ends_with_its_transaction() -> Result<()> {
    let test = TestDb::new().await?;
    // One connection in the pool, so that the second transaction gets the first one's.
    let db = hvflvspot::store::Db::connect(&test.endpoint, 1).await?;
    let organizer = Uuid::from_u128(1);
    let read = "select coalesce(current_setting('app.org', true), '') || '|' || coalesce(current_setting('app.user', true), '')
                       || '|' || coalesce(current_setting('app.secret', true), '') || '|' || coalesce(current_setting('app.admin', true), '')";
    let mut tx = db.tenant(organizer).await?;
    assert_eq!(sqlx::query_scalar::<_, String>(read).fetch_one(&mut *tx).await?, format!("{organizer}|||"));
    tx.commit().await?;
    let mut tx = db.admin(organizer).await?;
    assert_eq!(
        sqlx::query_scalar::<_, String>(read).fetch_one(&mut *tx).await?,
        format!("|{organizer}||true")
    );
    // Dropped, not committed.
    drop(tx);
    let mut tx = db.guest(&[7; 32]).await?;
    assert_eq!(
        sqlx::query_scalar::<_, String>(read).fetch_one(&mut *tx).await?,
        format!("||{}|", "07".repeat(32))
    );
    tx.commit().await?;
    let mut tx = db.platform().await?;
    assert_eq!(sqlx::query_scalar::<_, String>(read).fetch_one(&mut *tx).await?, "|||");
    Ok(())
}

/// How many rows of `table` a connection sees under a context.
async fn seen(conn: &mut PgConnection, context: &str, table: &str) -> Result<u64> {
    Ok(under(conn, context, &format!("select from {table}")).await?)
}

#[tokio::test]
async fn accounts_are_closed_to_organizers_and_to_one_another() -> Result<()> {
    let db = TestDb::new().await?;
    let mut owner = db.owner().await?;
    let (ada, bob, org) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    for (user, email) in [(ada, "ada@example.org"), (bob, "bob@example.org")] {
        owner
            .execute(AssertSqlSafe(format!(
                "insert into users (id, email, created_at, updated_at) values ('{user}', '{email}', now(), now());
                 insert into sessions (id, user_id, created_at, refreshed_at, not_after)
                 values ('{user}', '{user}', now(), now(), now());
                 insert into refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
                 values (sha256('{email}'), '{user}', '{user}', now(), now());
                 insert into user_bookings values ('{user}', '{org}', gen_random_uuid(), now())"
            )))
            .await?;
    }
    let mut app = PgConnection::connect_with(&db.endpoint.app()).await?;
    for table in ["users", "sessions", "refresh_tokens"] {
        assert_eq!(
            seen(&mut app, &format!("'{org}', null, null, false"), table).await?,
            0,
            "{table} to an organizer"
        );
        assert_eq!(
            seen(&mut app, &format!("null, '{ada}', null, false"), table).await?,
            1,
            "{table} to a user"
        );
        assert_eq!(seen(&mut app, "null, null, null, false", table).await?, 2, "{table} at sign-in");
    }
    assert_eq!(seen(&mut app, &format!("null, '{ada}', null, false"), "user_bookings").await?, 1);
    assert_eq!(seen(&mut app, &format!("'{org}', null, null, false"), "user_bookings").await?, 2);
    assert_eq!(seen(&mut app, &format!("'{}', null, null, false", Uuid::nil()), "user_bookings").await?, 0);
    let grabbed = format!("update users set email = 'mine@example.org' where id = '{bob}'");
    assert_eq!(under(&mut app, &format!("null, '{ada}', null, false"), &grabbed).await?, 0);
    let promoted = format!("update users set id = '{}' where id = '{ada}'", Uuid::from_u128(9));
    assert!(denied(&under(&mut app, &format!("null, '{ada}', null, false"), &promoted).await));
    Ok(())
}

#[tokio::test]
async fn the_directory_is_read_by_all_and_written_by_the_organizer_named() -> Result<()> {
    let db = TestDb::new().await?;
    let mut app = PgConnection::connect_with(&db.endpoint.app()).await?;
    let (mine, theirs) = ("'00000000-0000-0000-0000-00000000000a'", "'00000000-0000-0000-0000-00000000000b'");
    let (in_mine, in_theirs) = (format!("{mine}, null, null, false"), format!("{theirs}, null, null, false"));
    let put = |key: &str, org: &str| format!("insert into directory values ('slug', '{key}', {org}, null)");
    assert_eq!(under(&mut app, &in_theirs, &put("party", theirs)).await?, 1);
    assert!(denied(&under(&mut app, &in_mine, &put("fake", theirs)).await));
    assert!(denied(&under(&mut app, "null, null, null, false", &put("fake", mine)).await));
    let taken = under(&mut app, &in_mine, &put("party", mine)).await.unwrap_err();
    assert!(hvflvspot::store::is_unique_violation(&taken, "directory_pkey"));
    for grab in [format!("update directory set organizer_id = {mine}"), "delete from directory".to_owned()] {
        assert_eq!(under(&mut app, &in_mine, &grab).await?, 0, "{grab}");
    }
    assert_eq!(seen(&mut app, "null, null, null, false", "directory").await?, 1);
    Ok(())
}
