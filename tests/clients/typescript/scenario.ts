// A person's work by the generated TypeScript client: register a host, list, suspend, own, note, maintain, delete.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./stalker.js";

const env = (name: string) => process.env[name] ?? assert.fail(`${name} is not set`);
const host = "typescript 1.example";
const baseUrl = env("STALKER_URL");
const client = createClient<paths>({ baseUrl, headers: { "X-API-KEY": env("STALKER_API_KEY") } });
const agent = createClient<paths>({ baseUrl, headers: { "X-REGISTER-KEY": env("STALKER_REGISTER_KEY") } });

const registered = await agent.POST("/register", {
  body: {
    hostname: host,
    ip: "127.0.0.1",
    roles: ["typescript"],
    checks: { check_load: { args: "-w 1", interval: 60, follow_up: 60 } },
  },
});
assert.deepEqual([registered.data?.status, registered.data?.added], ["ok", 1]);

const hosts = await client.GET("/hosts", { params: { query: { role: "typescript" } } });
assert.deepEqual(hosts.data?.hosts.map((one) => one.hostname), [host]);
const ofHost = async () => {
  const { data, error } = await client.GET("/checks/host/{host}", { params: { path: { host } } });
  return data?.checks[0] ?? assert.fail(error?.detail);
};
const check = await ofHost();
assert.deepEqual([check.check, check.status, check.interval], ["check_load", null, 60]);

const path = { id: check.id };
const done = { success: true };
assert.deepEqual((await client.POST("/checks/id/{id}/suspended", { params: { path }, body: { suspended: true } })).data, done);
assert.deepEqual((await client.POST("/checks/id/{id}/owner", { params: { path }, body: { owner: "ann" } })).data, done);
const owned = await ofHost();
assert.deepEqual([owned.suspended, owned.owner], [true, "ann"]);

const note = { user: "ann", note: "disk ordered" };
assert.deepEqual((await client.POST("/notes/{host}", { params: { path: { host } }, body: note })).data, done);
const notes = await client.GET("/notes/{host}", { params: { path: { host } } });
assert.equal(notes.data?.notes[0]?.note, note.note);

const declared = await client.POST("/maintenances", { body: { hosts: [host], lasts: 60, reason: "new disk" } });
assert.equal(declared.data?.reach, 1);
const id = declared.data?.maintenance.id ?? assert.fail("it has an id");
assert.deepEqual((await client.DELETE("/maintenances/{id}", { params: { path: { id } } })).data, done);

assert.deepEqual((await client.DELETE("/hosts/{host}", { params: { path: { host } } })).data, done);
const gone = await client.DELETE("/hosts/{host}", { params: { path: { host } } });
assert.equal(gone.response.status, 404);
assert.equal(gone.error?.status, 404);
