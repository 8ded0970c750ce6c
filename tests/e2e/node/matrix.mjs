// Reads requests from standard input, a JSON array, and prints what the client's stream helper puts together of each.
import OpenAI from 'openai';

const { BASE_URL: baseURL, API_KEY: apiKey } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

let text = '';
for await (const piece of process.stdin) text += piece;
for (const body of JSON.parse(text)) {
  const stream = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  let reasoning = ''; // of fields that it does not know, the helper keeps the last piece
  stream.on('chunk', (chunk) => (reasoning += chunk.choices[0]?.delta?.reasoning_content ?? ''));
  let last; // where the helper refuses to finish what was filtered, what it had put together
  stream.on('chunk', (_, snapshot) => (last = snapshot));
  const { choices, usage } = await stream.finalChatCompletion().catch((error) => {
    if (last?.choices[0]?.finish_reason !== 'content_filter') throw error;
    return last;
  });
  console.log(JSON.stringify({ message: choices[0].message, reasoning, finish: choices[0].finish_reason, usage }));
}
