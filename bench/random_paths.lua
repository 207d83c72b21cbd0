-- For wrk: each request asks for a random one of the paths in a file, the script's one argument.
local requests = {}

function init(arguments)
  math.randomseed(1)
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  return requests[math.random(#requests)]
end
