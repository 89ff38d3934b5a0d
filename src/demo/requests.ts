/** The answer to a request that was accepted; undefined for one that was refused or could not be made. */
export async function request<Answer>(
  url: string,
  headers: Record<string, string>,
  body?: object,
): Promise<Answer | undefined> {
  try {
    const answer = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const content = (await answer.json()) as Answer;
    return answer.ok ? content : undefined;
  } catch {
    return undefined;
  }
}
