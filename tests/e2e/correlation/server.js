// SPDX-License-Identifier: GPL-2.0-only
// As server.py, on node's event loop: each request waits a moment, then makes one call.
// usage: server.js kept|new|at-once ADDRESS PORT CALLED-URL [HEADER]
//   calls on kept connections, on new ones, without the wait; HEADER alone is passed on
const http = require("http");

const [way, address, port, url, passedOn] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: way !== "new" });

function callAndAnswer(request, response) {
  const headers = passedOn && request.headers[passedOn] ? { [passedOn]: request.headers[passedOn] } : {};
  http.get(url, { agent, headers }, (called) => {
    const pieces = [];
    called.on("data", (piece) => pieces.push(piece));
    called.on("end", () => {
      const body = Buffer.concat(pieces);
      response.writeHead(200, { "Content-Length": body.length });
      response.end(body);
    });
  }).on("error", () => {
    response.writeHead(502);
    response.end();
  });
}

http.createServer((request, response) => {
  request.resume();
  if (way === "at-once") callAndAnswer(request, response);
  else setTimeout(() => callAndAnswer(request, response), Math.random() * 5);
}).listen(Number(port), address);
