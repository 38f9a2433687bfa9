// jsforce, unchanged, with a broker's key as its session and a user's address there as its org.
import jsforce from 'jsforce'

const { BASE, CONTROL, KEY } = process.env
const key = 'HubSpot_Contact_ID__c'
const post = (path, body) => fetch(`${CONTROL}/${path}`, { method: 'POST', body: JSON.stringify(body) })
const caught = async (call) => {
  try { await call() } catch (error) { return error.errorCode || error.name }
  return null
}
const client = (accessToken) => new jsforce.Connection({ instanceUrl: BASE, version: '66.0', accessToken })
const org = client(KEY)
const lead = org.sobject('Lead')

const upserts = []
for (const title of ['Duchess', 'Countess']) {
  const done = await lead.upsert({ [key]: '1', LastName: 'Byron', Company: 'Acme', Title: title }, key)
  upserts.push(done.created)
}
const found = await lead.find({ [key]: '1' }, 'Id, LastName, Title').limit(5)
await post('seed', { leads: 2000 })
const pages = await org.query('SELECT Id FROM Lead', { autoFetch: true, maxFetch: 5000 })
const sessions = []
for (let round = 0; round < 3; round++) {
  await post('levers', { expire_sessions: true })
  sessions.push((await org.limits()).DailyApiRequests.Max)
}
const users = await org.query('SELECT Username FROM User')
console.log(JSON.stringify({
  upserts,
  found: found.map((each) => each.LastName),
  title: found[0].Title,
  pages: pages.records.length,
  refused: await caught(() => lead.create({ LastName: 'x' })),
  sessions,
  described: (await lead.describe()).fields.some((each) => each.name === key && each.externalId),
  user: users.records[0].Username,
  wrongKey: await caught(() => client('bs_wrong').limits()),
}))
