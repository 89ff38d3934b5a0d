import type { Cluster } from './cluster.js';

/** What the database says happened, as far as it can be traced to a request. */
export interface Books {
  allocations: { id: number; userId: string; credits: number; key: string }[];
  /** Entries by what caused them: the notes of an allocation or deduction, a session, or a usage record. */
  ledger: {
    userId: string;
    kind: string;
    credits: number;
    key: string | null;
    sessionId: string | null;
    usageId: number | null;
  }[];
  usage: {
    id: number;
    userId: string;
    credits: number;
    uncollected: number;
    status: string;
    requestId: string | null;
    sessionId: string | null;
    key: string | null;
  }[];
  sessions: {
    userId: string;
    sessionId: string;
    status: string;
    endReason: string | null;
    isLate: boolean;
    generated: number;
    allocated: number;
    used: number;
    uncollected: number;
    usageId: number | null;
  }[];
}

/** Numbers come out as numbers: JSON has no other, and none of these is beyond 2^53. */
const BOOKS = `SELECT
  (SELECT coalesce(json_agg(json_build_object('id', id, 'userId', account_id, 'credits', total_credits, 'key', notes)), '[]')
     FROM credit_allocations) AS allocations,
  (SELECT coalesce(json_agg(json_build_object('userId', account_id, 'kind', kind, 'credits', credits, 'key', notes,
            'sessionId', session_id, 'usageId', usage_id) ORDER BY id), '[]') FROM credit_ledger) AS ledger,
  (SELECT coalesce(json_agg(json_build_object('id', id, 'userId', account_id, 'credits', credits, 'uncollected',
            uncollected_credits, 'status', billing_status, 'requestId', request_id, 'sessionId', session_id, 'key',
            metadata ->> 'key')), '[]') FROM usage_records) AS usage,
  (SELECT coalesce(json_agg(json_build_object('userId', account_id, 'sessionId', session_id, 'status', status, 'endReason',
            end_reason, 'allocated', allocated_credits, 'used', used_credits, 'uncollected', uncollected_credits,
            'usageId', usage_id, 'isLate', is_late, 'generated',
            tokens_generated)), '[]') FROM streaming_sessions) AS sessions`;

export async function readBooks(cluster: Cluster): Promise<Books> {
  const [books] = await cluster.query<Books>(BOOKS);
  return books as Books;
}
