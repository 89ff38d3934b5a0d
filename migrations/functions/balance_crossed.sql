-- Tells that a user's credits, held ones included, have come down to the threshold or to nothing. The trigger's WHEN has
-- found that one of both is so; the row is locked, so that of many spends at once one crosses.
CREATE OR REPLACE FUNCTION balance_crossed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_before bigint := OLD.available + OLD.held;
  v_after bigint := NEW.available + NEW.held;
  v_threshold bigint := coalesce(NEW.low_threshold,
                                 nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint);
  v_data jsonb := jsonb_build_object('credits', v_after, 'availableCredits', NEW.available, 'heldCredits', NEW.held);
BEGIN
  IF v_threshold > 0 AND v_before > v_threshold AND v_after <= v_threshold THEN
    PERFORM write_event(NEW.user_id, 'credits.low', v_data || jsonb_build_object('threshold', v_threshold));
  END IF;
  IF v_after = 0 THEN
    PERFORM write_event(NEW.user_id, 'credits.exhausted', v_data);
  END IF;
  RETURN NULL;
END
$$;
