const { texts, blobs } = JSON.parse(require("fs").readFileSync("/dev/stdin", "utf8"));
const id = (number) => ObjectId(number.toString(16).padStart(24, "0"));

db.texts.insertMany(texts.map((value, number) => ({ _id: number, value })));
db.blobs.insertMany(blobs.map((value, number) => ({ _id: id(number), value: Binary.createFromHexString(value) })));
db.everything.insertMany([
    {},
    { _id: null, n: null },
    { _id: Double(1), n: Double(0) },
    { _id: "1", n: Int32(1) },
    { _id: { b: Int32(1), a: [{}, []] }, n: Long.fromString("-9223372036854775808") },
    { _id: new Date(-62135596800000), n: NaN, far: new Date(253402300799999) },
    { _id: true, n: Infinity, minus: Double(-0.0), tiny: Double(5e-324), large: Double(1.7976931348623157e308), int: Int32(-2147483648) },
    { _id: id(1), n: Decimal128("1.000"), tiny: Decimal128("1E-6176"), large: Decimal128("9.999999999999999999999999999999999E+6144"), not: Decimal128("NaN") },
    { _id: MinKey(), n: MaxKey(), stamp: Timestamp({ t: 4294967295, i: 1 }), code: Code("return 'it''s';"), scoped: Code("x", { x: 1 }) },
    { _id: UUID("00112233-4455-6677-8899-aabbccddeeff"), n: BinData(5, "AP8A"), user: BinData(128, ""), pattern: /^a\/b"'\\.*ü$/im },
    { _id: "", "": "empty name", "ünïcödé 🐘": 1, "a b": { "c-d": [[1, [2, [3, { e: [] }]]]] }, z: 1, a: 2 },
    { _id: "nul", text: "with \u0000 in it" },
    { _id: "deep", nested: Array.from({ length: 90 }).reduce((inner) => ({ inner }), "bottom") },
].map((document, number) => ({ ...document, _id: "_id" in document ? document._id : id(99) })));
db.everything.insertOne({ _id: "large", text: "ü".repeat(1 << 20), list: Array.from({ length: 20000 }, (_, number) => number) });

db.createCollection("people", {
    validator: { $jsonSchema: { required: ["name"], properties: { name: { bsonType: "string" }, age: { bsonType: ["int", "null"] } } } },
    validationLevel: "moderate",
    validationAction: "error",
});
db.people.insertMany([
    { _id: 1, name: "Ada", email: "ada@example.org", age: Int32(36), tags: ["a", "b"], address: { city: "London", at: [0.1, 51.5] } },
    { _id: 2, name: "Björk", age: null, tags: [], address: { city: "Reykjavík" } },
    { _id: 3, name: "Ada", email: "other@example.org" },
]);
db.people.createIndex({ email: 1 }, { unique: true, sparse: true, name: "one per email" });
db.people.createIndex({ name: 1, "address.city": -1 });
db.people.createIndex({ age: 1 }, { partialFilterExpression: { age: { $gt: 18 } } });
db.people.createIndex({ tags: 1 }, { hidden: true });

db.createCollection("sessions");
db.sessions.createIndex({ until: 1 }, { expireAfterSeconds: 3600 });
db.sessions.insertOne({ _id: 1, until: new Date(4102444800123) });
db.createCollection("log", { capped: true, size: 1 << 20, max: 100 });
db.log.insertMany([{ _id: 2 }, { _id: 1 }]);
db.createCollection("empty");
db.createCollection("collated", { collation: { locale: "de", strength: 2 } });
db.collated.insertOne({ _id: 1, name: "Straße" });
db.getCollection("odd name.with.dots ü").insertOne({ _id: 1 });
db.createView("adults", "people", [{ $match: { age: { $gte: 18 } } }, { $project: { name: 1 } }]);
