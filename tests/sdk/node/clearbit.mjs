// Clearbit's own client, unchanged, against the sandbox of the environment. Its hosts are folders there.
import clearbit from 'clearbit'

const { URL: url, KEY: key } = process.env

function client(key) {
  const made = new clearbit.Client({ key })
  made.endpoint = (options) => `${url}/clearbit/${options.api}/v${options.version}`
  return made
}

const own = client(key)
const levers = (payload) => fetch(`${url}/_sandbox/levers`, { method: 'POST', body: JSON.stringify(payload) })
const nameOf = (promise) => promise.then(() => 'no error', (error) => error.name)

const found = await own.Enrichment.find({ email: 'ada@analytical.example' })
const miss = await nameOf(own.Person.find({ email: 'nobody@x.example' }))
await levers({ queued: 1, queued_form: 'error' })
const queued = await nameOf(own.Person.find({ email: 'grace@compilers.example' }))
// The library's clients share the last key.
const refused = await client('wrong').Person.find({ email: 'ada@analytical.example' }).catch((error) => error.type)

console.log(JSON.stringify({
  person: found.person.name.fullName, company: found.company.domain, miss, queued, refused,
}))
