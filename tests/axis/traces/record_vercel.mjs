// Makes the calls of one scenario with the AI SDK of Vercel and exports its spans: scenario, upstream, collector.
// `record.py` runs it in a folder in which the packages that fixtures/README.md names are installed.
import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import * as ai from "ai";
import { z } from "zod";

const [scenario, upstream, collector] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
if (ai.registerTelemetry) {
  const { OpenTelemetry } = await import("@ai-sdk/otel");
  ai.registerTelemetry(new OpenTelemetry());
}

const telemetry = {
  isEnabled: true,
  functionId: "answer",
  metadata: { userId: "ada", sessionId: "talk-1" },
};
const asked = {
  model: createOpenAI({ baseURL: `${upstream}/v1`, apiKey: "sk-loopback" }).chat("gpt-4o"),
  maxRetries: 0,
  system: "Be brief.",
  prompt: "What keeps the rings level?",
  telemetry,
  experimental_telemetry: telemetry,
};
if (scenario === "streamed") {
  await ai.streamText(asked).consumeStream();
} else if (scenario === "tools") {
  const look = ai.tool({ inputSchema: z.object({ at: z.string() }), execute: async ({ at }) => `seen: ${at}` });
  await ai.generateText({ ...asked, tools: { look } });
} else {
  await ai.generateText(asked).catch(() => undefined);
}
await provider.forceFlush();
await provider.shutdown();
