-- For wrk: one image of 28 by 28 pixels as JSON, about as much of it ink as in MNIST.
--
--   wrk -t2 -c64 -d60s --latency -s post.lua http://127.0.0.1:8080/predict
local pixels = {}
for i = 1, 784 do
  local ink = i % 28 > 10 and i % 28 < 15
  pixels[i] = ink and string.format("%.7f", (i * 37 % 256) / 255) or "0.0"
end
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = '{"instances": [[' .. table.concat(pixels, ",") .. "]]}"
