// Written by `bailiwick protect`, taken out by `bailiwick unprotect`: asks the gateway about opencode's tools.
import { spawn } from "node:child_process";

const command = ["bailiwick", "hook", "opencode"];

function decide(event) {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.stdin.on("error", () => {});
    child.on("error", (error) => reject(new Error("Bailiwick could not be asked: " + error.message)));
    child.on("close", (code) => {
      if (code !== 0) return reject(new Error(errors.trim() || "Bailiwick could not decide"));
      try {
        resolve(JSON.parse(output));
      } catch {
        reject(new Error("Bailiwick gave no answer"));
      }
    });
    child.stdin.end(JSON.stringify(event));
  });
}

export const Bailiwick = async ({ client, directory }) => ({
  "chat.message": async (input, output) => {
    // What a subagent is told is the model's word, not the user's.
    const session = await client.session.get({ path: { id: input.sessionID } });
    if (!session.data || session.data.parentID) return;
    const texts = output.parts.filter((part) => part.type === "text" && !part.synthetic).map((part) => part.text);
    await decide({ event: "prompt", session: input.sessionID, folder: directory, prompt: texts.join("\n") });
  },
  "tool.execute.before": async (input, output) => {
    const use = { session: input.sessionID, folder: directory, tool: input.tool, call: input.callID };
    const answer = await decide({ event: "before", ...use, arguments: output.args });
    if (answer.deny) throw new Error(answer.deny);
  },
  "tool.execute.after": async (input, output) => {
    const use = { session: input.sessionID, folder: directory, tool: input.tool, call: input.callID };
    await decide({ event: "after", ...use, arguments: input.args, result: output?.output ?? output?.content ?? "" });
  },
});
