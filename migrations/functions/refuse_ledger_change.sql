-- The ledger is append-only: this trigger refuses UPDATE, DELETE and TRUNCATE, also to the tables' owner.
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'credit_ledger is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
