// Does with the `openai` package what its users do, and prints one JSON object a step: {"step": name, ...what it saw}.
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const { BASE_URL: baseURL, API_KEY: apiKey, PROMPT: prompt, SESSION: session } = process.env;
const client = new OpenAI({ baseURL, apiKey });
const ask = { model: 'sandbox/echo', messages: [{ role: 'user', content: prompt }] };
const tools = [
  {
    type: 'function',
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
];

const print = (step, seen) => console.log(JSON.stringify({ step, ...seen }));

async function streamed(options) {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, ...options, stream: true })) {
    chunks.push(chunk);
  }
  const text = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
  return { text, choices: chunks.map((chunk) => chunk.choices.length), usage: chunks.at(-1).usage ?? null };
}

async function raised(call) {
  try {
    await call();
  } catch (error) {
    const { status, code, type, param, requestID } = error;
    return { name: error.constructor.name, status, code, type, param, requestID: requestID ?? null };
  }
  return { name: null };
}

const chat = await client.chat.completions.create(ask);
print('chat', {
  text: chat.choices[0].message.content,
  finish: chat.choices[0].finish_reason,
  usage: chat.usage,
  requestID: chat._request_id,
});

print('stream', await streamed({}));
print('stream with usage', await streamed({ stream_options: { include_usage: true } }));

const first = (await client.chat.completions.create({ ...ask, tools })).choices[0].message;
const [call] = first.tool_calls;
const second = await client.chat.completions.create({
  ...ask,
  messages: [...ask.messages, first, { role: 'tool', tool_call_id: call.id, content: '12 degrees' }],
  tools,
});
print('tools', {
  name: call.function.name,
  arguments: JSON.parse(call.function.arguments),
  text: second.choices[0].message.content,
});

const City = z.object({ name: z.string(), capital: z.boolean(), rivers: z.array(z.object({ length: z.int() })) });
const parsed = await client.chat.completions.parse({ ...ask, response_format: zodResponseFormat(City, 'city') });
print('parse', { parsed: parsed.choices[0].message.parsed });

const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
print('models', { ids, one: (await client.models.retrieve('sandbox/echo')).id });

print('not found', await raised(() => client.models.retrieve('sandbox/eco')));
print('not found in chat', await raised(() => client.chat.completions.create({ ...ask, model: 'sandbox/eco' })));
print('bad request', await raised(() => client.chat.completions.create({ ...ask, temperature: 3 })));
print(
  'wrong key',
  await raised(() => new OpenAI({ baseURL, apiKey: 'sk-aig-wrong' }).chat.completions.create(ask)),
);
print('broken stream', await raised(() => streamed({ model: 'sandbox/cut' })));

for (const model of ['sandbox/fail-once-429', 'sandbox/fail-once-500']) {
  const retrying = new OpenAI({ baseURL, apiKey, defaultHeaders: { 'x-sandbox-id': session } });
  // The gateway tries again by itself, so only what fails every time shows the error's class.
  const always = model.replace('-once', '');
  const impatient = await raised(() =>
    new OpenAI({ baseURL, apiKey, maxRetries: 0 }).chat.completions.create({ ...ask, model: always }),
  );
  const answer = await retrying.chat.completions.create({ ...ask, model });
  print(model, { text: answer.choices[0].message.content, impatient: impatient.name });
}
