// Preloaded into the conformance suite: what it listens on is this machine's alone.
const dns = require("node:dns");
const net = require("node:net");

const HERE = "127.0.0.1";
const { listen } = net.Server.prototype;
const { lookup } = dns;

net.Server.prototype.listen = function (...words) {
  if (typeof words[0] === "number" && typeof words[1] !== "string") {
    words.splice(1, 0, HERE);
  }
  return listen.apply(this, words);
};

// The suite asks for its port at once, as it may without a host.
dns.lookup = function (host, ...words) {
  const answer = words.at(-1);
  return host === HERE ? answer(null, HERE, 4) : lookup.call(dns, host, ...words);
};
