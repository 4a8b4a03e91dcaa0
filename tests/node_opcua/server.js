// A node-opcua server that does what tests/opcua_program.py describes: lines of JSON, one server per process.
// {"do": "range", "node": [...], "low": 0, "high": 50} gives a variable its EURange.
"use strict";
console.log = console.error; // answers are all that goes to standard output
const readline = require("readline");
const { setTimeout: wait } = require("timers/promises");
const { MonitoredItem, OPCUAServer } = require("node-opcua-server");
const { DataType, Variant } = require("node-opcua-variant");
const { Range } = require("node-opcua-data-access");
const { nodesets } = require("node-opcua-nodesets");

const port = Number(process.argv[2]);
const nodes = new Map();
const key = ([uri, name]) => `${uri} ${name}`;
let server;
MonitoredItem.minimumSamplingInterval = 10; // ms; 50 otherwise, whatever a client asks for

async function made() {
  server = new OPCUAServer({
    port,
    nodeset_filename: [nodesets.standard],
    serverCapabilities: { minSupportedSampleRate: 0 },
  });
  await server.initialize();
}

const does = {
  async start({ spaces }) {
    for (const [uri, values] of Object.entries(spaces)) {
      for (const [name, value] of Object.entries(values)) does.add({ node: [uri, name], values: [value] });
    }
    await server.start();
    return { pid: process.pid };
  },
  add({ node, values }) {
    const space = server.engine.addressSpace;
    const variable = space.registerNamespace(node[0]).addVariable({
      nodeId: `s=${node[1]}`,
      browseName: node[1],
      organizedBy: space.rootFolder.objects,
      dataType: "Double",
      minimumSamplingInterval: 0,
    });
    nodes.set(key(node), variable);
    return does.set({ node, values });
  },
  range({ node, low, high }) {
    nodes.get(key(node)).namespace.addVariable({
      propertyOf: nodes.get(key(node)),
      browseName: { name: "EURange", namespaceIndex: 0 },
      typeDefinition: "PropertyType",
      dataType: "Range",
      value: new Variant({ dataType: DataType.ExtensionObject, value: new Range({ low, high }) }),
    });
    return {};
  },
  remove({ node }) {
    server.engine.addressSpace.deleteNode(nodes.get(key(node)));
    return {};
  },
  async set({ node, values, every_s = 0 }) {
    for (const value of values) {
      nodes.get(key(node)).setValueFromSource(new Variant({ dataType: DataType.Double, value }));
      if (every_s) await wait(1000 * every_s);
    }
    return {};
  },
  status() {
    const sessions = Object.values(server.engine._sessions);
    const subscriptions = sessions.flatMap((session) => session.publishEngine.subscriptions);
    const items = subscriptions.reduce((sum, subscription) => sum + subscription.monitoredItemCount, 0);
    return { sessions: sessions.length, subscriptions: subscriptions.length, items };
  },
};

(async () => {
  await made();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    process.stdout.write(JSON.stringify(await does[command.do](command)) + "\n");
  }
  process.exit(0);
})();
