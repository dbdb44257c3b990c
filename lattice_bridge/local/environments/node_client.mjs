// Runtime client for Node.js functions: `node node_client.mjs HANDLER`, with the task root as the working directory.
//
// Rule: a function cannot tell it from AWS's own client (aws-lambda-ric), except that the log has stack traces of
// several lines. It is used for functions that do not contain aws-lambda-ric, which npm must compile.
// Sources: the Lambda developer guide, "Using the Lambda runtime API" and "Building Lambda functions with Node.js".
// Error types and messages are those of aws-lambda-ric: 3.3.0 for the runtimes up to nodejs22.x, 4.0.2 for the later
// ones, which have no callbacks.

import { statSync } from "node:fs";
import { Agent, request } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const RELEASE = Number(/^AWS_Lambda_nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? "")?.[1] ?? 22);
const HAS_CALLBACKS = RELEASE < 24;
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");

// What the running invocation is: its id and tenant for the log, and what to do if no event is left to wait for.
let current = null;

class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    this.name = `Runtime.${type}`;
  }
}

// ---- the Runtime API -------------------------------------------------------------------------------------------------

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: 1 }); // its idle socket does not count as an event to wait for

function call(method, route, body, headers = {}) {
  return new Promise((resolve, reject) => {
    if (body !== undefined) {
      headers = { ...headers, "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
    }
    const path = `/2018-06-01/runtime/${route}`;
    const calling = request({ hostname, port, agent, method, path, headers }, (response) => {
      const { statusCode: status, headers } = response;
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status, headers, body: Buffer.concat(chunks) }));
    });
    calling.on("error", (error) => {
      // The server closes a connection that was idle for a minute, perhaps at this moment.
      const isStale = calling.reusedSocket && error.code === "ECONNRESET";
      resolve(isStale ? call(method, route, body, headers) : Promise.reject(error));
    });
    calling.end(body);
  });
}

function postError(route, error) {
  const described = describe(error);
  const type = described.errorType.replace(/[^\x20-\x7e]/g, "?"); // other characters cannot be in a header
  return call("POST", route, JSON.stringify(described), { "Lambda-Runtime-Function-Error-Type": type });
}

function describe(error) {
  try {
    if (isError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: error.stack.split("\n") };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    const problem = "there was a problem while retrieving one or more of its message, name, and stack";
    return { errorType: "handled", errorMessage: `callback called with Error argument, but ${problem}`, trace: [] };
  }
}

// Removes this client's own calls from a stack trace, which end every trace.
function withoutClient(error) {
  if (typeof error?.stack !== "string") return error;
  const lines = error.stack.split("\n").filter((line) => !line.includes(import.meta.url));
  try {
    error.stack = lines.join("\n");
  } catch {
    // frozen: it is shown as it is
  }
  return error;
}

// An error of another realm, such as Jest's, is no instance of this Error.
function isError(value) {
  return value instanceof Error || ["name", "message", "stack"].every((key) => typeof value?.[key] === "string");
}

// ---- the log ---------------------------------------------------------------------------------------------------------

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

function patchConsole() {
  const lowest = Math.max(0, LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL ?? "").toUpperCase()));
  const formatted = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON" ? jsonLine : textLine;
  LEVELS.forEach((level, number) => {
    console[level.toLowerCase()] = (...parts) => {
      // A record is one line for CloudWatch. The stack shows a carriage return as the end of a line.
      if (number >= lowest) process.stdout.write(`${formatted(level, parts).replaceAll("\n", "\r")}\n`);
    };
  });
  console.log = console.info;
}

function textLine(level, parts) {
  return [new Date().toISOString(), current?.id, level, format(...parts)].join("\t");
}

function jsonLine(level, parts) {
  const line = { timestamp: new Date().toISOString(), level, requestId: current?.id, tenantId: current?.tenant };
  if (parts.length === 1) {
    try {
      const fields = (_, value) => (value instanceof Error ? errorFields(value) : value);
      return JSON.stringify({ ...line, message: parts[0] }, fields);
    } catch {
      return JSON.stringify({ ...line, message: format(parts[0]) }); // a cycle, or a BigInt
    }
  }
  const error = parts.find((part) => part instanceof Error);
  return JSON.stringify({ ...line, message: format(...parts), ...(error && errorFields(error)) });
}

function errorFields(error) {
  const stackTrace = typeof error.stack === "string" ? error.stack.split("\n") : [];
  return { errorType: error.constructor?.name ?? "UnknownError", errorMessage: error.message, stackTrace, ...error };
}

// ---- the handler -----------------------------------------------------------------------------------------------------

async function load(root, text) {
  if (text.includes("..")) {
    const fix = "Use absolute paths when specifying root directories in handler names.";
    throw new RuntimeError("MalformedHandlerName", `'${text}' is not a valid handler name. ${fix}`);
  }
  const base = path.basename(text);
  const [, name, member] = /^([^.]*)\.(.*)$/.exec(base) ?? [];
  if (name === undefined) throw new RuntimeError("MalformedHandlerName", "Bad handler");
  const folder = text.slice(0, text.indexOf(base));
  const module = await importModule(path.resolve(root, folder, name), name, [root, path.join(root, folder)]);
  const handler = findMember(module, member) ?? findMember(module.default, member); // of CommonJS, all is in `default`
  if (!handler) throw new RuntimeError("HandlerNotFound", `${text} is undefined or not exported`);
  if (typeof handler !== "function") throw new RuntimeError("HandlerNotFound", `${text} is not a function`);
  return handler;
}

function findMember(module, member) {
  return member.split(".").reduce((found, key) => found?.[key], module);
}

async function importModule(file, name, folders) {
  try {
    const files = ["", ".js", ".mjs", ".cjs"].map((suffix) => file + suffix);
    const found = files.find((each) => statSync(each, { throwIfNoEntry: false })?.isFile());
    const { resolve } = createRequire(pathToFileURL(`${folders[0]}/`));
    return await import(pathToFileURL(found ?? resolve(name, { paths: folders })));
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw Object.assign(new RuntimeError("UserCodeSyntaxError", String(error)), { stack: error.stack, cause: error });
    }
    throw error?.code === "MODULE_NOT_FOUND" ? new RuntimeError("ImportModuleError", String(error)) : error;
  }
}

function checkHandler(handler) {
  if (handler[STREAMING] && handler[STREAMING] !== "response") {
    throw new RuntimeError("MalformedStreamingHandler", "Only response streaming is supported.");
  }
  if (!HAS_CALLBACKS && !handler[STREAMING] && handler.length >= 3) {
    const fix = "You need to modify this function to use a supported handler signature to use Node.js 24 or later.";
    const more = "For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.";
    const fault = "AWS Lambda has removed support for callback-based function handlers starting with Node.js 24.";
    throw new RuntimeError("CallbackHandlerDeprecated", `ERROR: ${fault} ${fix} ${more}`);
  }
}

// ---- an invocation ---------------------------------------------------------------------------------------------------

function contextOf(headers) {
  const json = (name) => (headers[name] === undefined ? undefined : JSON.parse(headers[name]));
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json("lambda-runtime-client-context"),
    identity: json("lambda-runtime-cognito-identity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    tenantId: headers["lambda-runtime-aws-tenant-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// The handler's result, whichever way it gives it. Only the first result counts.
function resultOf(handler, event, context) {
  const mine = current; // a late callback of this invocation may come during the next one
  return new Promise((resolve, reject) => {
    mine.idle = () => resolve(null); // neither a promise nor a callback will come
    const done = (error, result) => (error === undefined || error === null ? resolve(result) : reject(error));
    const callback = (error, result) => {
      const waits = context.callbackWaitsForEmptyEventLoop && (error === undefined || error === null);
      if (!waits) return done(error, result);
      mine.idle = () => resolve(result);
    };
    if (HAS_CALLBACKS) {
      const fail = (error) => done(error ?? "handled");
      const succeed = (result) => done(null, result);
      Object.assign(context, { callbackWaitsForEmptyEventLoop: true, done, succeed, fail });
    }
    const result = HAS_CALLBACKS ? handler(event, context, once(callback)) : handler(event, context);
    if (typeof result?.then === "function") result.then(resolve, (error) => done(error ?? "handled"));
    else if (!HAS_CALLBACKS) resolve(result);
  });
}

function once(callback) {
  let called = false;
  return (...given) => {
    if (!called) callback(...given);
    called = true;
  };
}

function serialised(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch (error) {
    console.error(error);
    throw new RuntimeError("JSONStringifyError", "Unable to stringify response body");
  }
}

// Lambda's Invoke returns a streamed response as a whole, and so does this client.
async function streamed(handler, event, context) {
  const chunks = [];
  const stream = new Writable({ write: (chunk, _encoding, next) => (chunks.push(chunk), next()) });
  const write = stream.write.bind(stream);
  const isRaw = (chunk) => typeof chunk === "string" || chunk instanceof Uint8Array;
  stream.setContentType = () => {};
  stream.write = (chunk, ...more) => write(isRaw(chunk) ? chunk : JSON.stringify(chunk), ...more);
  const running = handler(event, stream, context);
  if (typeof running?.then !== "function") throw new Error("Streaming does not support non-async handlers.");
  const idle = new Promise((resolve) => (current.idle = resolve)).then(() => {
    throw new Error("Response stream is not finished.");
  });
  await Promise.race([Promise.all([running, finished(stream)]), idle]);
  return Buffer.concat(chunks);
}

function setGlobals() {
  if (["1", "true"].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  const streamifyResponse = (handler) => Object.assign(handler, { [STREAMING]: "response" });
  const HttpResponseStream = {
    from(stream, prelude) {
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8)); // ends the prelude
      return stream;
    },
  };
  globalThis.awslambda = { ...globalThis.awslambda, streamifyResponse, HttpResponseStream };
}

async function invoke(handler, { headers, body }) {
  const trace = headers["lambda-runtime-trace-id"];
  if (trace === undefined) delete process.env._X_AMZN_TRACE_ID;
  else process.env._X_AMZN_TRACE_ID = trace;
  const route = `invocation/${current.id}`;
  try {
    const context = contextOf(headers);
    const event = JSON.parse(body);
    const run = handler[STREAMING] ? streamed : async (...given) => serialised(await resultOf(...given));
    await call("POST", `${route}/response`, await run(handler, event, context));
  } catch (error) {
    console.error("Invoke Error", withoutClient(error));
    await postError(`${route}/error`, error);
  }
}

// ---- the process -----------------------------------------------------------------------------------------------------

// Reports an error that no code of the function has caught, and ends the process, as Lambda does.
async function end(title, error, code) {
  console.error(title, withoutClient(error));
  if (current !== null) await postError(`invocation/${current.id}/error`, error).catch(() => {});
  else if (!isLoaded) await postError("init/error", error).catch(() => {});
  process.exit(code);
}

function reportUncaught() {
  process.on("uncaughtException", (error) => end("Uncaught Exception", error, 129));
  process.on("unhandledRejection", (reason) => {
    const error = new RuntimeError("UnhandledPromiseRejection", String(reason));
    if (isError(reason)) error.stack = `${error.name}: ${reason.stack}`; // says where, and its own does not
    end("Unhandled Promise Rejection", error, 128);
  });
  process.on("beforeExit", () => current?.idle());
}

let isLoaded = false;

async function main(text) {
  patchConsole();
  setGlobals();
  if (HAS_CALLBACKS) reportUncaught(); // else Node.js itself prints the error and ends
  const handler = await load(process.cwd(), text);
  checkHandler(handler);
  isLoaded = true;
  for (;;) {
    const next = await call("GET", "invocation/next");
    if (next.status !== 200) return; // the environment ends
    const { "lambda-runtime-aws-request-id": id, "lambda-runtime-aws-tenant-id": tenant } = next.headers;
    current = { id, tenant, idle() {} };
    await invoke(handler, next);
    current = null;
  }
}

main(process.argv[2]).catch(async (error) => {
  if (isLoaded) process.exit(1); // the Runtime API has gone
  const cause = error?.name === "Runtime.UserCodeSyntaxError" ? error.cause : null;
  if (cause === null) console.error("Uncaught Exception", withoutClient(error));
  await postError("init/error", error).catch(() => {});
  if (cause === null) process.exit(129);
  process.removeAllListeners("unhandledRejection").removeAllListeners("uncaughtException");
  throw cause; // Node.js prints its file and line, which no property of a syntax error has
});
