// A TLS peer that copies standard input to the connection, and the connection
// to standard output.
const fs = require('fs'), tls = require('tls');
const [role, port, ca, cert, key, version, group] = process.argv.slice(2);
const options = {
  ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key),
  minVersion: version, maxVersion: version, ALPNProtocols: ['echo'],
};
if (group) options.ecdhCurve = group;
const join = (socket) => {
  socket.on('error', (e) => console.error(e.message));
  process.stdin.pipe(socket, { end: false });
  socket.pipe(process.stdout);
};
if (role === 'server') {
  tls.createServer(options, join).on('tlsClientError', (e) => console.error(e.message)).listen(+port, '127.0.0.1');
} else {
  join(tls.connect({ ...options, port: +port, host: '127.0.0.1', servername: 'localhost' }));
}
