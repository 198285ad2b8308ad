const crypto = require("crypto");
for (let left = mebibytes; left > 0; left -= chunk) {
    const count = Math.min(left, chunk);
    db.grown.insertMany(Array.from({ length: count }, () => ({ value: Binary(crypto.randomBytes(1 << 20)) })));
}
