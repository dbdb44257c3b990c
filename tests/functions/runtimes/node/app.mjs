const WORD = "first";
let count = 0;

if (process.env.INIT === "fails") throw new RangeError("no database");

export const handler = async (event, context) => {
  if (event.do === "crash") process.exit(3);
  if (event.do === "hang") await new Promise((done) => setTimeout(done, 60_000));
  if (event.do === "fail") throw new TypeError("not today");
  count += 1;
  console.log("serves", context.tenantId);
  const address = process.env.AWS_LAMBDA_RUNTIME_API;
  return { tenant: context.tenantId, count, pid: process.pid, word: WORD, address };
};
