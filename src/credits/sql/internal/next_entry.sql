-- The id of the entry that comes after p_last in an account's ledger. Each server of a cluster gives ids of a range of its own,
-- and an account may have moved here from one whose ids are higher: they rise all the same. The caller holds the account's
-- lock.
CREATE OR REPLACE FUNCTION next_entry(p_last bigint) RETURNS bigint
LANGUAGE sql AS $$
  SELECT greatest(nextval('credit_ledger_id_seq'), p_last + 1)
$$;
