-- The ledger and the decisions of reviews are append-only: this trigger refuses UPDATE, DELETE and TRUNCATE, also to the tables' owner.
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
