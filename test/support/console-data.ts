import type { TestService } from './service.js';

const DAY = 86_400_000;
const MODELS = ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4'] as const;

/** A small platform: users, an organisation, prices, a month of usage, active sessions, calls to review. */
export async function seedConsole(service: TestService): Promise<void> {
  const admin = service.as('admin', { role: 'admin' });
  const rules = [
    {
      modelId: 'gpt-4o',
      pricePerThousandTokens: '15',
      pricePerThousandInputTokens: '3',
      pricePerThousandOutputTokens: '12',
      providerCostPerThousandTokens: '0.01',
    },
    { modelId: 'gpt-4o-mini', pricePerThousandTokens: '0.9', providerCostPerThousandTokens: '0.0006' },
    { modelId: 'claude-sonnet-4', pricePerThousandTokens: '18', providerCostPerThousandTokens: '0.02' },
  ];
  for (const rule of rules) await admin.post('/api/pricing', rule);
  for (const [index, userId] of ['alice', 'bob', 'carol', 'dave', 'erin', 'frank'].entries()) {
    const user = service.as(userId, { email: `${userId}@example.com` });
    await user.get('/api/credits/balance');
    const lots =
      userId === 'carol'
        ? [{ credits: 20, expiryDays: 5 }]
        : [
            { credits: 4000 + index * 700, expiryDays: 30 },
            { credits: 1500, expiryDays: 6 },
            { credits: 9000, expiryDays: 90 },
          ];
    for (const lot of lots)
      await admin.post('/api/credits/allocate', { userId, notes: 'starter pack', ...lot });
    for (let day = 0; day < 30; day++) {
      await user.post('/api/usage/record', {
        service: 'chat',
        operation: MODELS[(day + index) % MODELS.length],
        credits: 40 + ((day * 37 + index * 53) % 160),
        timestamp: new Date(Date.now() - day * DAY - 3_600_000).toISOString(),
        metadata: { tokens: 3000 + day * 40 },
      });
    }
    for (let call = 0; call < 3; call++) {
      await user.post('/api/usage/charge', {
        requestId: `call-${userId}-${call}`,
        modelId: MODELS[call],
        tokens: 2000 + call * 900,
        onInsufficient: 'review',
      });
    }
  }
  await service
    .as('erin')
    .post('/api/usage/charge', { requestId: 'unpriced', modelId: 'mystery-model', tokens: 1200 });
  for (const userId of ['alice', 'bob', 'dave']) {
    const user = service.as(userId);
    await user.post('/api/streaming-sessions/initialize', {
      sessionId: `chat-${userId}-1`,
      modelId: 'gpt-4o',
      estimatedTokens: 9000,
    });
    await user.post('/api/streaming-sessions/progress', {
      sessionId: `chat-${userId}-1`,
      tokensGenerated: 3200,
    });
  }
  await service.as('alice').post('/api/api-keys', {
    name: 'nightly report',
    permissions: ['usage:read', 'credits:read'],
    creditLimit: 500,
  });
  await seedOrganisation(service);
}

/** Two units with budgets, of which one is used up. */
async function seedOrganisation(service: TestService): Promise<void> {
  const accountId = 'org:acme';
  const path = `/api/organisations/${accountId}`;
  const admin = service.as('admin', { role: 'admin' });
  await admin.post('/api/organisations', { id: accountId, name: 'Acme' });
  await admin.post('/api/credits/allocate', { accountId, credits: 5000 });
  const { body: research } = await admin.post<{ id: number }>(`${path}/units`, { name: 'Research' });
  const { body: vision } = await admin.post<{ id: number }>(`${path}/units`, {
    name: 'Vision',
    parentId: research.id,
  });
  const alice = service.as('alice');
  await admin.post(`${path}/members`, { userId: 'alice', role: 'owner' });
  await admin.post(`${path}/members`, { userId: 'bob', role: 'member', unitId: vision.id });
  const monthly = { accountId, unit: 'credits', window: 'month', amount: 1000 };
  await admin.post('/api/budgets', { ...monthly, scope: 'account' });
  await alice.post('/api/budgets', { ...monthly, scope: 'unit', scopeId: String(research.id), mode: 'soft' });
  await alice.post('/api/budgets', { ...monthly, scope: 'unit', scopeId: String(vision.id), amount: 2 });
  await alice.post('/api/budgets', { ...monthly, scope: 'model', scopeId: 'gpt-4o*' });
  await alice.post('/api/budgets', { scope: 'account', unit: 'requests', window: 'day', amount: 100 });
  for (const requestId of ['fits', 'fits-too', 'refused']) {
    const call = { accountId, requestId, modelId: 'gpt-4o-mini', tokens: 1000 };
    await service.as('bob').post('/api/usage/charge', call);
  }
}

/** A finished call by this user, as LiteLLM's proxy reports it. */
export function gatewayCall(userId: string): object {
  const now = Date.now() / 1000;
  return {
    id: `chatcmpl-${userId}`,
    call_type: 'acompletion',
    status: 'success',
    model: 'openai/gpt-4o-mini',
    custom_llm_provider: 'openai',
    prompt_tokens: 400,
    completion_tokens: 600,
    total_tokens: 1000,
    response_cost: 0.0021,
    startTime: now - 2,
    endTime: now,
    metadata: { user_api_key_user_id: userId },
  };
}
