// What is fuzzed: functions that take any bytes and must neither crash nor break a promise (GAUNTLET_CHECK).
// libFuzzer calls them in ./dev fuzz; the ordinary tests replay the corpus through them.
// Thread safety: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace gauntlet::fuzz {

using Bytes = std::span<const std::uint8_t>;

void board(Bytes bytes);
void clipart(Bytes bytes);
void cocojson(Bytes bytes);
void coordinator(Bytes bytes);
void descriptor(Bytes bytes);
void frames(Bytes bytes);
void hdf5(Bytes bytes);
void job(Bytes bytes);
void list(Bytes bytes);
void mat5(Bytes bytes);
void npy(Bytes bytes);
void photolist(Bytes bytes);
void picture(Bytes bytes);
void safetensors(Bytes bytes);
void sweep(Bytes bytes);
void where(Bytes bytes);

struct Target {
  std::string_view name;
  void (*run)(Bytes bytes);
};
inline constexpr std::array kTargets = {Target{"board", &board},
                                        Target{"clipart", &clipart},
                                        Target{"cocojson", &cocojson},
                                        Target{"coordinator", &coordinator},
                                        Target{"descriptor", &descriptor},
                                        Target{"frames", &frames},
                                        Target{"hdf5", &hdf5},
                                        Target{"job", &job},
                                        Target{"list", &list},
                                        Target{"mat5", &mat5},
                                        Target{"npy", &npy},
                                        Target{"photolist", &photolist},
                                        Target{"picture", &picture},
                                        Target{"safetensors", &safetensors},
                                        Target{"sweep", &sweep},
                                        Target{"where", &where}};

[[nodiscard]] inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace gauntlet::fuzz
