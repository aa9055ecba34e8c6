-- What a callback is to its receiver, to see how fast that answers.
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["webhook-id"] = "kevt_4HqQ2xZb7mT0uVdYcR9sKe"
wrk.headers["webhook-timestamp"] = "1705314672"
wrk.headers["webhook-signature"] = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="
wrk.body = '{"id":"kevt_4HqQ2xZb7mT0uVdYcR9sKe","merchant_id":"e4eaaaf2-d142-41b3-9d8e-2f6b0c7a1d53",'
  .. '"timestamp":"2024-01-15T10:31:12.408000000Z","type":"ipp.session.created","data":{'
  .. '"session_id":"7b1f0d6e-52c8-4a39-9e04-d8c6b3a1f275","order_id":null,"failure_reason":null,"sequence":1}}'
