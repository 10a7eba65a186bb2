-- Memberships that ended: the sweep looks at them again and again, and everything else in the audit is not theirs.
create index audit_departures on audit (organizer_id, audit_id) where action = 'member.removed';
