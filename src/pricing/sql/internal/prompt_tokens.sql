-- The size of a call's prompt: its input tokens of every class.
CREATE OR REPLACE FUNCTION prompt_tokens(p_quantities jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(sum(value::numeric), 0) FROM jsonb_each(p_quantities)
   WHERE jsonb_typeof(value) = 'number'
     AND key IN ('input', 'cached_input', 'cache_write_5m', 'cache_write_1h', 'audio_input', 'cached_audio_input',
                 'audio_cache_write', 'image_input', 'video_input')
$$;
