-- A ticket whose fifteen new codes are used up goes on under a new id: this one is withdrawn, and says as what.
alter table tickets add column replaced_by uuid check (replaced_by is null or state = 'withdrawn');
