// Parses diagrams with Mermaid, without a browser: node parse.cjs mermaid.min.js < diagrams.json
// In: a JSON list of diagrams. Out: a JSON list of messages; "" for a diagram that parses.
"use strict";

const { readFileSync } = require("node:fs");
const { runInThisContext } = require("node:vm");

// Mermaid cleans labels with DOMPurify, which wants a page. In this empty one it says that it is
// not supported and gives labels back as they are, which is enough for parsing.
globalThis.window = {
  document: { nodeType: 9, implementation: {}, createElement: () => ({}) },
  Element: class {},
};

runInThisContext(readFileSync(process.argv[2], "utf8"), { filename: process.argv[2] });

async function messageOf(diagram) {
  try {
    await globalThis.mermaid.parse(diagram);
    return "";
  } catch (error) {
    return error.message || String(error);
  }
}

async function main() {
  const messages = [];
  for (const diagram of JSON.parse(readFileSync(0, "utf8"))) {
    messages.push(await messageOf(diagram));
  }
  process.stdout.write(JSON.stringify(messages));
}

main();
