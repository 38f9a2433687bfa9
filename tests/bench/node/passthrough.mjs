// What a product's own proxy often is: an express application that passes calls on with axios.
import http from 'node:http'
import https from 'node:https'
import axios from 'axios'
import express from 'express'

const [port, base] = process.argv.slice(2)
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'host']

const client = axios.create({
  baseURL: base,
  httpAgent: new http.Agent({ keepAlive: true }),
  httpsAgent: new https.Agent({ keepAlive: true }),
  responseType: 'stream',
  decompress: false,
  maxRedirects: 0,
  validateStatus: () => true,
})

const passed = (headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)))

const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.use(async (request, response) => {
  const hasBody = 'content-length' in request.headers || 'transfer-encoding' in request.headers
  const answer = await client.request({
    method: request.method,
    url: request.originalUrl,
    headers: passed(request.headers),
    data: hasBody ? request : undefined,
  })
  response.status(answer.status).set(passed(answer.headers))
  answer.data.pipe(response)
})
app.listen(Number(port), '127.0.0.1')
