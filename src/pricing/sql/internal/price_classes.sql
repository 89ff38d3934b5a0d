-- A class of what a call uses, and after it the classes whose price it takes without one of its own. NULL: no such class.
-- Those that end with tokens are counted in tokens. PRICE_CLASSES in price-classes.ts is the same list for the API. One
-- constant and not a CASE, whose branches PostgreSQL would prepare anew in each transaction.
CREATE OR REPLACE FUNCTION price_classes(p_class text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT '{
    "tokens": ["tokens"],
    "input": ["input", "tokens"],
    "cached_input": ["cached_input", "input", "tokens"],
    "cache_write_5m": ["cache_write_5m", "input", "tokens"],
    "cache_write_1h": ["cache_write_1h", "cache_write_5m", "input", "tokens"],
    "output": ["output", "tokens"],
    "reasoning": ["reasoning", "output", "tokens"],
    "audio_input": ["audio_input", "input", "tokens"],
    "cached_audio_input": ["cached_audio_input", "cached_input", "input", "tokens"],
    "audio_cache_write": ["audio_cache_write", "cache_write_5m", "input", "tokens"],
    "audio_output": ["audio_output", "output", "tokens"],
    "image_input": ["image_input", "input", "tokens"],
    "image_output": ["image_output", "output", "tokens"],
    "video_input": ["video_input", "input", "tokens"],
    "video_output": ["video_output", "output", "tokens"],
    "citation": ["citation"],
    "input_characters": ["input_characters"],
    "output_characters": ["output_characters"],
    "input_images": ["input_images"],
    "images": ["images"],
    "pixels": ["pixels"],
    "seconds": ["seconds"],
    "seconds_1080p": ["seconds_1080p", "seconds"],
    "audio_input_seconds": ["audio_input_seconds"],
    "video_input_seconds": ["video_input_seconds"],
    "pages": ["pages"],
    "annotated_pages": ["annotated_pages"],
    "queries": ["queries"],
    "requests": ["requests"],
    "search_low": ["search_low"],
    "search_medium": ["search_medium"],
    "search_high": ["search_high"],
    "code_interpreter_sessions": ["code_interpreter_sessions"]}'::jsonb -> p_class
$$;
