#!/bin/sh
# mongosh with the code that node compiled of it while the image was made: half of the time that it takes to start.
NODE_COMPILE_CACHE=/opt/mongosh/compiled exec node /opt/mongosh/node_modules/mongosh/bin/mongosh.js "$@"
