-- Adds the completed sessions of the next stretch of time, at most an hour and until a minute ago, to output_lengths. With
-- each week that ends all weights halve. Only the 1,000 models with the largest weights stay: their names are the callers'.
-- The first call begins 28 days ago. What commits more than a minute late is not counted: nothing depends on the last call.
-- Answers whether a whole hour was added, so that there may be more; one caller at a time, the others are answered no.
CREATE OR REPLACE FUNCTION output_lengths_learn() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_from timestamptz;
  v_end timestamptz;
  v_weeks integer;
BEGIN
  SELECT counted_until INTO v_from FROM output_learning FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN FALSE; END IF;
  v_from := greatest(v_from, date_trunc('hour', now() - interval '28 days'));
  v_end := least(v_from + interval '1 hour', date_trunc('minute', now() - interval '1 minute'));
  IF v_end <= v_from THEN RETURN FALSE; END IF;
  v_weeks := (date_trunc('week', v_end, 'UTC')::date - date_trunc('week', v_from, 'UTC')::date) / 7;
  IF v_weeks > 0 THEN
    UPDATE output_lengths SET weight = weight * 0.5 ^ v_weeks;
    DELETE FROM output_lengths WHERE weight < 0.01 OR model_id IN (
      SELECT model_id FROM output_lengths GROUP BY model_id ORDER BY sum(weight) DESC, model_id OFFSET 1000);
  END IF;
  INSERT INTO output_lengths AS o (model_id, input_size, output_size, weight)
  SELECT operation, input_size(prompt_tokens(quantities)), output_size(tokens_of(quantities) - prompt_tokens(quantities)),
         count(*)
    FROM usage_records
   WHERE timestamp >= v_from AND timestamp < v_end AND service = 'chat-streaming' AND session_id IS NOT NULL
     AND quantities ? 'output' AND NOT quantities ? 'tokens' AND NOT counted_as_other
   GROUP BY 1, 2, 3
  ON CONFLICT (model_id, input_size, output_size) DO UPDATE SET weight = o.weight + excluded.weight;
  UPDATE output_learning SET counted_until = v_end;
  RETURN v_end = v_from + interval '1 hour';
END
$$;
