-- Gates: invitations and devices, the manifest that was last issued, the logs that came back, and what
-- they prove. Times are the server's unless a column says otherwise.
--
-- No foreign keys from scans: the log keeps every authentic entry, also one whose list, gate or ticket
-- was never here; and the device it names was looked up to verify its signature.

-- Invitations ------------------------------------------------------------------------------------

-- A slot lets one machine in once. The link's secret has 128 bits; the typed one 20, and therefore ten
-- minutes and five tries. `short_name` is what a typed code begins with; it is unique through the directory.
create table device_slots (
  organizer_id uuid not null,
  slot_id uuid not null,
  event_id uuid not null,
  label text not null check (length(label) between 1 and 80),
  box_office boolean not null,
  short_name text not null check (short_name ~ '^[0-9A-HJKMNP-TV-Z]{4}$'),
  link_secret_hash bytea not null check (length(link_secret_hash) = 32),
  typed_secret_hash bytea not null check (length(typed_secret_hash) = 32),
  tries_left smallint not null check (tries_left between 0 and 5),
  created_by uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  state text not null check (state in ('open', 'committed', 'revealed', 'confirmed', 'declined')),
  -- The one enrolment of this slot: commitment, then what was revealed, then the device it became.
  enrolment_id bytea check (length(enrolment_id) = 16),
  commitment bytea check (length(commitment) = 32),
  server_nonce bytea check (length(server_nonce) = 32),
  public_key bytea check (length(public_key) = 32),
  device_nonce bytea check (length(device_nonce) = 32),
  digits text check (digits ~ '^[0-9]{6}$'),
  device_id uuid,
  decided_by uuid,
  decided_at timestamptz,
  primary key (organizer_id, slot_id),
  check (state in ('open', 'declined') or (enrolment_id is not null and commitment is not null and server_nonce is not null)),
  check (state not in ('revealed', 'confirmed') or (public_key is not null and device_nonce is not null and digits is not null)),
  check ((state = 'confirmed') = (device_id is not null))
);
create index device_slots_event on device_slots (organizer_id, event_id, created_at);
call tenant_table('device_slots');

-- Devices ----------------------------------------------------------------------------------------

-- Number 0 is the server's own virtual device: it records check-ins that were decided online.
create table devices (
  organizer_id uuid not null,
  device_id uuid not null,
  event_id uuid not null,
  number bigint not null check (number >= 0),
  label text not null,
  box_office boolean not null,
  public_key bytea not null check (length(public_key) = 32),
  private_key_sealed bytea, -- the virtual device's alone
  certificate bytea not null,
  not_after timestamptz not null,
  confirmed_at timestamptz not null,
  confirmed_by uuid, -- null for the virtual device
  status text not null default 'active' check (status in ('active', 'revoked')),
  revoked_at timestamptz,
  revoked_by uuid,
  -- The last place that counts: what was acknowledged when the device was revoked. log 0 = nothing was.
  cut_off_log_no bigint check (cut_off_log_no >= 0),
  cut_off_seq bigint check (cut_off_seq >= 0),
  -- The owner's decisions on what came after: counted up to here, and looked at up to there.
  accepted_log_no bigint,
  accepted_seq bigint,
  decided_log_no bigint,
  decided_seq bigint,
  -- Health, as the device said last.
  last_sync_at timestamptz,
  clock_offset_ms bigint,
  clock_uncertainty_ms bigint,
  unsent bigint check (unsent >= 0),
  manifest_epoch bigint,
  manifest_change_seq bigint,
  manifest_as_of timestamptz,
  primary key (organizer_id, device_id),
  unique (organizer_id, event_id, number),
  check ((number = 0) = (private_key_sealed is not null)),
  check ((status = 'revoked') = (revoked_at is not null and cut_off_log_no is not null and cut_off_seq is not null)),
  check (status = 'revoked' or (accepted_log_no is null and decided_log_no is null)),
  check ((accepted_log_no is null) = (accepted_seq is null)),
  check ((decided_log_no is null) = (decided_seq is null))
);
create index devices_event on devices (organizer_id, event_id);
call tenant_table('devices');

-- Which entries of each log are here, so that an acknowledgement never counts rows. `received` is
-- usually one range; each hole adds one. The row's lock puts uploads of one log in order.
create table device_logs (
  organizer_id uuid not null,
  device_id uuid not null,
  log_no bigint not null check (log_no >= 1),
  event_id uuid not null,
  received int8multirange not null,
  primary key (organizer_id, device_id, log_no)
);
create index device_logs_event on device_logs (organizer_id, event_id);
call tenant_table('device_logs');

-- Manifest ---------------------------------------------------------------------------------------

-- Lineages of an event's manifests. A new row = the database may have lost something: another system
-- identifier or timeline, or a gate that knows more than we do. Unknown tickets issued within the gap
-- count as late sales at the gates.
create table manifest_epochs (
  organizer_id uuid not null,
  event_id uuid not null,
  epoch bigint not null check (epoch between 1 and 4294967295),
  cause text not null check (cause in ('first', 'database', 'gate_ahead')),
  system_identifier text not null,
  timeline bigint not null,
  gap_from timestamptz,
  gap_to timestamptz,
  reported_by uuid, -- the device that was ahead
  created_at timestamptz not null,
  primary key (organizer_id, event_id, epoch),
  check ((gap_from is null) = (gap_to is null))
);
call tenant_table('manifest_epochs', append_only => true);

-- The newest signed header of each event; the bytes are served as they stand.
create table manifest_headers (
  organizer_id uuid not null,
  event_id uuid not null,
  epoch bigint not null,
  change_seq bigint not null check (change_seq >= 0),
  as_of timestamptz not null,
  issued_at timestamptz not null,
  header bytea not null,
  key_list bytea not null,
  bucket_hashes bytea not null check (length(bucket_hashes) = 131072), -- 4,096 × 32
  tickets bigint not null check (tickets >= 0),
  primary key (organizer_id, event_id)
);
alter table manifest_headers alter column bucket_hashes set storage external;
call tenant_table('manifest_headers');

-- The rows behind that header: sorted 20-byte rows by bucket. Empty buckets have no row.
create table manifest_buckets (
  organizer_id uuid not null,
  event_id uuid not null,
  bucket integer not null check (bucket between 0 and 4095),
  ticket_rows bytea not null check (length(ticket_rows) > 0 and length(ticket_rows) % 20 = 0),
  primary key (organizer_id, event_id, bucket)
);
alter table manifest_buckets alter column ticket_rows set storage external;
call tenant_table('manifest_buckets');

-- Log --------------------------------------------------------------------------------------------

-- Every authentic entry of every device, for ever. `entry` is the signed evidence; the columns beside
-- it are read from it. Two rows at one place = a forked log, both kept.
create table scans (
  organizer_id uuid not null,
  event_id uuid not null,
  device_id uuid not null,
  log_no bigint not null,
  seq bigint not null,
  entry_hash bytea not null,
  entry bytea not null,
  kind smallint not null,
  outcome smallint not null,
  flags bigint not null,
  list_id uuid,
  ticket_id uuid,
  type_no integer,
  gate_id uuid,
  staff_id uuid,
  outward boolean not null,
  rehearsal boolean not null,
  corrected_ms bigint not null, -- the gate's evidence, Unix milliseconds
  error_ms bigint not null,
  target_device_id uuid, -- of an undo
  target_log_no bigint,
  target_seq bigint,
  received_at timestamptz not null, -- the server's order
  primary key (organizer_id, device_id, log_no, seq, entry_hash)
);
create index scans_ticket on scans (organizer_id, event_id, ticket_id, list_id) where ticket_id is not null and kind <> 2;
create index scans_target on scans (organizer_id, target_device_id, target_log_no, target_seq) where target_device_id is not null;
call tenant_table('scans', append_only => true);

-- What an entry newly knew of other logs (the changes of its seen vector): proves whether a second gate
-- could have known of the first's admission.
create table scan_seen (
  organizer_id uuid not null,
  device_id uuid not null,
  log_no bigint not null,
  seq bigint not null,
  entry_hash bytea not null,
  other_number bigint not null,
  other_log_no bigint not null,
  other_seq bigint not null,
  primary key (organizer_id, device_id, log_no, seq, entry_hash, other_number, other_log_no)
);
call tenant_table('scan_seen', append_only => true);

-- Runs as they were signed, in the order of their commits: `scan_seq` is the cursor of the gates. The
-- signature covers the last entry, and through the chain all before it; so a run is stored from its
-- first new entry on.
create table scan_runs (
  organizer_id uuid not null,
  event_id uuid not null,
  scan_seq bigint not null,
  device_id uuid not null,
  log_no bigint not null,
  first_seq bigint not null,
  last_seq bigint not null,
  last_hash bytea not null,
  signature bytea not null check (length(signature) = 64),
  entry_bytes bigint not null,
  received_at timestamptz not null,
  primary key (organizer_id, event_id, scan_seq),
  check (first_seq between 1 and last_seq)
);
call tenant_table('scan_runs', append_only => true);

-- Per event, each a row that is locked last: the cursor over runs, and the numbers given to devices.
-- While it is held, what the log says about the event's tickets cannot change.
create table scan_counters (
  organizer_id uuid not null,
  event_id uuid not null,
  scan_seq bigint not null default 0 check (scan_seq >= 0),
  last_number bigint not null default 0 check (last_number >= 0),
  primary key (organizer_id, event_id)
);
call tenant_table('scan_counters');

-- Check-ins decided online, by the nonce of the attempt: the same nonce is the same scan, and gets the
-- same answer.
create table online_scans (
  organizer_id uuid not null,
  event_id uuid not null,
  nonce bytea not null check (length(nonce) = 16),
  request_hash bytea not null check (length(request_hash) = 32),
  device_id uuid not null,
  log_no bigint not null,
  seq bigint not null,
  answer jsonb not null,
  requested_by uuid,
  created_at timestamptz not null,
  primary key (organizer_id, event_id, nonce)
);
call tenant_table('online_scans', append_only => true);

-- Incidents --------------------------------------------------------------------------------------

-- What the log proves and somebody should see. The id is derived from what it is about, so that it is
-- one incident however often it is found; it grows, closes when undone, and is kept.
create table incidents (
  organizer_id uuid not null,
  event_id uuid not null,
  incident_id uuid not null,
  kind text not null check (kind in ('double_admission', 'forked_log', 'clock_jump', 'faulty_entry', 'replaced_log')),
  state text not null check (state in ('open', 'closed')),
  list_id uuid,
  ticket_id uuid,
  device_id uuid,
  log_no bigint,
  sides jsonb not null check (jsonb_typeof(sides) = 'array'),
  opened_at timestamptz not null,
  updated_at timestamptz not null,
  closed_at timestamptz,
  primary key (organizer_id, event_id, incident_id),
  check ((kind = 'double_admission') = (ticket_id is not null)),
  check ((state = 'closed') = (closed_at is not null))
);
create index incidents_recent on incidents (organizer_id, event_id, opened_at);
call tenant_table('incidents');
