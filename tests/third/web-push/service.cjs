// web-push-testing without its command line, which would leave a process behind.
const { PushApiModel } = require('web-push-testing/src/PushApiModel.js');
const Server = require('web-push-testing/src/server.js');

new Server(new PushApiModel(), Number(process.argv[2])).startServer();
