-- A record under the names that the roll-ups count it under. Chats stay chats: statistics of models add up their operations.
CREATE OR REPLACE FUNCTION as_counted(p_record usage_records) RETURNS usage_records
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF p_record.counted_as_other THEN
    IF p_record.service NOT IN ('chat', 'chat-streaming') THEN p_record.service := 'other'; END IF;
    p_record.operation := 'other';
  END IF;
  RETURN p_record;
END
$$;
