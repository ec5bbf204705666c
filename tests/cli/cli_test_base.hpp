// A work folder and the real program, for black-box tests of the command line.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::cli {

class CliTest : public testing::Test {
 protected:
  [[nodiscard]] testing_support::Finished gauntlet(std::vector<std::string> words) const {
    words.insert(words.begin(), GAUNTLET_BINARY_DIR "/bin/gauntlet");
    return testing_support::run(words, folder());
  }
  [[nodiscard]] testing_support::Finished shell(const std::string& line) const {
    return testing_support::run({"/bin/bash", "-c", line}, folder(),
                                {{"GAUNTLET", GAUNTLET_BINARY_DIR "/bin/gauntlet"}});
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  [[nodiscard]] std::filesystem::path workdir() const { return folder() / "runs"; }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder() / name) << text;
    return folder() / name;
  }
  [[nodiscard]] static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  testing_support::TempFolder folder_;
};

}  // namespace gauntlet::cli
