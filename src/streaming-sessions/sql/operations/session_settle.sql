-- Ends a session by its client: reason is finalized (with success, and what was used by class) or aborted (with the tokens
-- generated, or NULL for the last progress). Repeated with the same numbers it returns the same; a session that timed out is
-- settled once more by a late finalize or abort.
-- Outcomes: ok, session_not_found, already_ended, balance_limit.
CREATE OR REPLACE FUNCTION session_settle(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_settled record;
BEGIN
  v_settled := settle_session(p_account, p, NULL);
  IF v_settled.counts IS NOT NULL THEN PERFORM count_ends(p_account, v_settled.counts); END IF;
  RETURN v_settled.answer;
END
$$;
