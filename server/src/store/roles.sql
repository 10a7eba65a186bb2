-- Makes what a migration cannot: the three roles and what they need of the database.
-- Idempotent; safe when several servers start at once; asks for nothing that already is there, so
-- that a careful administrator may do all of this beforehand and give us only hvflvspot_owner.
do $roles$
declare
  r text;
begin
  perform pg_advisory_xact_lock(4850192837465001);
  foreach r in array array['hvflvspot_owner', 'hvflvspot_app', 'hvflvspot_worker'] loop
    if not exists (select from pg_roles where rolname = r) then
      begin
        execute format('create role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls', r);
      exception
        -- Roles are shared by all databases of the cluster; another server was quicker.
        when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
  if not pg_has_role(current_user, 'hvflvspot_owner', 'member') then
    execute format('grant hvflvspot_owner to %I', current_user);
  end if;
  if not has_database_privilege('hvflvspot_owner', current_database(), 'create') then
    execute format('grant connect, create on database %I to hvflvspot_owner', current_database());
  end if;
  if not has_schema_privilege('hvflvspot_owner', 'public', 'create') then
    grant usage, create on schema public to hvflvspot_owner;
  end if;
  foreach r in array array['hvflvspot_app', 'hvflvspot_worker'] loop
    if not has_database_privilege(r, current_database(), 'connect') then
      execute format('grant connect on database %I to %I', current_database(), r);
    end if;
    if not has_schema_privilege(r, 'public', 'usage') then
      execute format('grant usage on schema public to %I', r);
    end if;
  end loop;
end
$roles$;
