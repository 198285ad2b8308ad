const crypto = require("crypto");
const sorted = (value) =>
    Array.isArray(value) || value === null || typeof value !== "object" || value._bsontype || value instanceof Date
        ? value
        : Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
const text = (value) => EJSON.stringify(value, { relaxed: false });

for (const info of db.getCollectionInfos().sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (info.name.startsWith("system.")) continue;
    print("collection", info.name, info.type, text(sorted(info.options)));
    if (info.type === "view") continue;
    const collection = db.getCollection(info.name);
    // The order of an index's keys counts, that of its options does not.
    const indexes = collection.getIndexes().map(({ v, ns, ...index }) => text(sorted(index)));
    for (const index of indexes.sort()) print("index", info.name, index);
    // Of the bytes: a number that is read would not say any more of which type it was.
    const hashes = [];
    const cursor = collection.find({}, {}, { raw: true });
    while (cursor.hasNext()) hashes.push(crypto.createHash("sha256").update(cursor.next()).digest("hex"));
    // Only a capped collection has an order.
    const all = info.options.capped ? hashes : hashes.sort();
    print("documents", info.name, hashes.length, crypto.createHash("sha256").update(all.join()).digest("hex"));
}
print("end");
