/** By the partial index of what is active: these cost the same however many sessions have ended. */
export const ACTIVE_SESSIONS = `(SELECT count(*) FROM streaming_sessions WHERE status = 'active')`;
/** What active sessions hold, of everyone. */
export const HELD_CREDITS = `(SELECT coalesce(sum(allocated_credits), 0) FROM streaming_sessions WHERE status = 'active')`;
