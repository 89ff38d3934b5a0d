-- Keeps the ledger and the decisions of reviews append-only: refuses UPDATE, DELETE and TRUNCATE, also to the tables' owner.
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE OR REPLACE TRIGGER credit_ledger_append_only BEFORE UPDATE OR DELETE ON credit_ledger
  FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();
CREATE OR REPLACE TRIGGER credit_ledger_no_truncate BEFORE TRUNCATE ON credit_ledger
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE OR REPLACE TRIGGER usage_reviews_append_only BEFORE UPDATE OR DELETE ON usage_reviews
  FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();
CREATE OR REPLACE TRIGGER usage_reviews_no_truncate BEFORE TRUNCATE ON usage_reviews
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
