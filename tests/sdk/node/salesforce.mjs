// jsforce, unchanged, against the sandbox Salesforce of the environment.
import jsforce from 'jsforce'

const { URL: url, ACCESS_TOKEN: accessToken, REFRESH_TOKEN: refreshToken } = process.env
const oauth2 = { loginUrl: url, clientId: 'app', clientSecret: 'app-secret' }
const key = 'HubSpot_Contact_ID__c'
const lever = (levers) => post('levers', levers)
const post = (path, body) => fetch(`${url}/_sandbox/${path}`, { method: 'POST', body: JSON.stringify(body) })

const own = new jsforce.Connection({ instanceUrl: url, version: '66.0', oauth2 })
await own.authorize({ grant_type: 'client_credentials' })
const identity = await own.identity()
const lead = own.sobject('Lead')

const upserts = []
for (const title of ['Duchess', 'Countess']) {
  const done = await lead.upsert({ [key]: '1', LastName: 'Byron', Company: 'Acme', Title: title }, key)
  upserts.push(done.created)
}
const made = await lead.create([
  { LastName: 'Hopper', Company: 'Navy', Email: 'grace@navy.example' }, { LastName: 'Bartik', Company: 'ENIAC' },
])
const some = await lead.create([{ LastName: 'x', Company: 'y' }, { LastName: 'x' }])
await lead.destroy(some[0].id)
await lead.update({ Id: made[0].id, Title: 'Rear Admiral' })
const byron = await lead.findOne({ [key]: '1' }, ['Id', 'LastName'])
const retrieved = await lead.retrieve([byron.Id, made[0].id])
const found = await lead.find({ LastName: { $like: 'By%' } }, 'Id, LastName').sort('-LastName').limit(5)

await post('seed', { leads: 2000 })
const pages = await own.query('SELECT Id FROM Lead', { autoFetch: true, maxFetch: 5000 })
const scanned = await own.query('SELECT Id FROM Lead', { scanAll: true, autoFetch: true, maxFetch: 5000 })
const [start, end] = [new Date(Date.now() - 300_000), new Date(Date.now() + 120_000)]
const deleted = await lead.deleted(start, end)
const updated = await lead.updated(start, end)

const caught = async (call) => {
  try { await call() } catch (error) { return error }
  return null
}
const refused = await caught(() => lead.create({ LastName: 'x' }))
await lever({ duplicate_rule: 'alert' })
const duplicate = await caught(() => lead.create({ LastName: 'x', Company: 'y', Email: 'grace@navy.example' }))
await lead.create({ LastName: 'x', Company: 'y', Email: 'grace@navy.example' }, {
  headers: { 'Sforce-Duplicate-Rule-Header': 'allowSave=true' },
})

const connected = new jsforce.Connection({ instanceUrl: url, version: '66.0', oauth2, accessToken, refreshToken })
await lever({ expire_sessions: true })
const renewed = (await connected.limits()).DailyApiRequests.Max > 0
await lever({ expire_sessions: true })
const lost = await caught(() => connected.limits())

console.log(JSON.stringify({
  user: identity.username,
  upserts,
  both: made.map((each) => each.success),
  some: [some[0].success, some[1].errors[0].statusCode],
  retrieved: retrieved.map((each) => each.Title),
  found: found.map((each) => each.LastName),
  pages: pages.records.length,
  scanned: scanned.records.length,
  deleted: deleted.deletedRecords.length,
  updated: updated.ids.length,
  refused: [refused.errorCode, refused.message],
  duplicate: [duplicate.errorCode, duplicate.data.duplicateResult.matchResults[0].size],
  described: (await own.authorize({ grant_type: 'client_credentials' }), await lead.describe())
    .fields.some((each) => each.name === key && each.externalId),
  objects: (await own.describeGlobal()).sobjects.some((each) => each.name === 'Lead'),
  limit: own.limitInfo.apiUsage.limit,
  renewed,
  lostConnection: lost && lost.message,
}))
